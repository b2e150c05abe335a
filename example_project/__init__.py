"""A small site that shows what sessions_ext does: python manage.py demo"""
