"""Real user agents, and what a person would call each."""

USER_AGENTS = [
    # desktop
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Chrome on macOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
        "Safari on macOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
        "Firefox on macOS",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Chrome on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        "Edge on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 OPR/111.0.0.0",
        "Opera on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Vivaldi/7.0.3495.11",
        "Vivaldi on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "Firefox on Windows",
    ),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows"),
    ("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", "Internet Explorer on Windows"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Ubuntu"),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Chrome on Linux",
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Chrome on Chrome OS",
    ),
    # phone and tablet
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
        "Safari on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.46 Mobile/15E148 Safari/604.1",
        "Chrome on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
        "Firefox on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/126.0.2592.56 Mobile/15E148 Safari/605.1.15",
        "Edge on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "App on iPhone",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
        "Safari on iPad",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.46 Mobile/15E148 Safari/604.1",
        "Chrome on iPad",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
        "Chrome on Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.71 Mobile Safari/537.36",
        "Chrome on Android",
    ),
    ("Mozilla/5.0 (Android 14; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0", "Firefox on Android"),
    (
        "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
        "Samsung Internet on Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Safari/537.36",
        "Samsung Internet on Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP2A.240805.005; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.122 Mobile Safari/537.36",
        "App on Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/126.2.1 like Chrome/126.0.6478.61 Safari/537.36",
        "Amazon Silk on Android",
    ),
    # TV and console
    (
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
        "Safari on Samsung TV",
    ),
    (
        "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
        "Chrome on LG TV",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; AFTS Build/PS7233; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/88.0.4324.152 Mobile Safari/537.36",
        "App on Fire TV",
    ),
    (
        "Mozilla/5.0 (CrKey armv7l 1.5.16041) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/31.0.1650.0 Safari/537.36",
        "Chrome on Chromecast",
    ),
    ("AppleTV11,1/11.1", "Apple TV"),
    ("Roku/DVP-9.10 (519.10E04111A)", "Roku"),
    (
        "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
        "Safari on PlayStation 5",
    ),
    (
        "Mozilla/5.0 (PlayStation 4 11.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
        "Safari on PlayStation 4",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edge/44.18363.8131",
        "Edge on Xbox",
    ),
    (
        "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.2.21.3 NintendoBrowser/5.1.0.22474",
        "Nintendo Switch",
    ),
    ("Roku4640X/DVP-7.70 (297.70E04154A)", "Roku"),
    (
        "Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR3 Build/PTT1.190515.001.S104) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/102.0.5005.125 Safari/537.36",
        "Chrome on Android TV",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; SHIELD Android TV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        "Chrome on Android TV",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; AOSP TV on x86 Build/STTE; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.71 Safari/537.36",
        "App on Android TV",
    ),
    # bot
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
    (
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.126 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Googlebot",
    ),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot"),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "GPTBot",
    ),
    ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot"),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "FacebookBot"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Slackbot-LinkExpanding"),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
        "HeadlessChrome on Linux",
    ),
    # command line and library
    ("curl/8.14.1", "curl"),
    ("Wget/1.21.4", "Wget"),
    ("python-requests/2.32.5", "python-requests"),
    ("python-httpx/0.27.0", "python-httpx"),
    ("Python/3.12 aiohttp/3.9.5", "Python aiohttp"),
    ("Python-urllib/3.12", "Python-urllib"),
    ("Go-http-client/2.0", "Go-http-client"),
    ("okhttp/4.12.0", "okhttp"),
    ("PostmanRuntime/7.39.0", "PostmanRuntime"),
    ("Apache-HttpClient/4.5.14 (Java/17.0.11)", "Apache-HttpClient"),
    ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A.240805.005)", "Android"),
    ("MyApp/3.2 CFNetwork/1494.0.7 Darwin/23.4.0", "MyApp"),
    ("Dart/3.5 (dart:io)", "Dart"),
    ("Wget/1.21.3 (linux-gnu)", "Wget"),
    ("curl/7.68.0 (x86_64-pc-linux-gnu) libcurl/7.68.0 OpenSSL/1.1.1f", "curl"),
    ("rest-client/2.1.0 (linux x86_64) ruby/3.2", "rest-client"),
    ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "node-fetch"),
    ("Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) PowerShell/7.4.2", "PowerShell on Windows"),
    ("My%20App/42 CFNetwork/1494 Darwin/23", "My App"),
    ("MyApp/1.0 (com.example.app; build:1; iOS 17.0.0) Alamofire/5.8.0", "MyApp on iOS"),
    # malformed, or nothing that names a device
    ("axios/1.7.2", "axios"),
    ("Mozilla/5.0", ""),
    ("-", ""),
    ("something nobody knows", ""),
    ("<script>alert(1)</script>", ""),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64", "Windows"),
    ("' OR 1=1 --", ""),
    ("a/1 ; DROP TABLE", ""),
    ("<script>alert(1)</script>/1.0 (x)", ""),
    ("evil<script>/1.0 (<script>)", ""),
    ("Dart/3.5 (<script>alert(1)</script>)", "Dart"),
    ("Mozilla/5.0 (X11) AppleWebKit/537.36", ""),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 <script>alert(1)</script>",
        "Chrome on macOS",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; 23129RAA4G Build/UKQ1) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36 Instagram 337.0.0.35.102 Android",
        "Instagram on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 337.0.0",
        "Instagram on iPhone",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Brave/126",
        "Brave on Windows",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 YaBrowser/24.6.0 Safari/537.36",
        "Yandex Browser on Linux",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; DuckDuckGo) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile DuckDuckGo/5 Safari/537.36",
        "DuckDuckGo on Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; Quest 3) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/33.0 Chrome/126.0 VR Safari/537.36",
        "Oculus Browser on Meta Quest",
    ),
    # bots that do not say so in their name
    (
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "Yahoo! Slurp (bot)",
    ),
    (
        "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
        "archiveorg_bot",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
        "ChatGPT-User",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Claude-User/1.0; +Claude-User@anthropic.com)",
        "Claude-User",
    ),
    (
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
        "meta-externalagent",
    ),
    ("W3C_Validator/1.3 http://validator.w3.org/services", "W3C_Validator"),
    # apps that name themselves, and what carries them
    ("App/7.2 (Android 15; Pixel 9 Pro) okhttp/4.12.0", "App on Android"),
    ("MyShop/3.2 (com.example.shop; build:9; Android 14; Pixel 8) Dart/3.5 (dart:io)", "MyShop on Android"),
    ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A.240805.005) MyShop/3.1", "MyShop on Android"),
    ("MyApp/3.0 (Android 15)", "MyApp on Android"),
    (
        "Mozilla/5.0 (Linux; Android 15; Pixel 9 Build/AP4A.250105.002; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.81 Mobile Safari/537.36 MyShop/3.2",
        "MyShop on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MyShop/3.2",
        "MyShop on iPhone",
    ),
    ("MyApp/4.2 (iPhone15,2; iOS 18.1) CFNetwork/1568.100.1 Darwin/24.0.0", "MyApp on iPhone"),
    ("Home Assistant/2025.5.1-15532 (Android 15; Pixel 9)", "Home Assistant on Android"),
    (
        "Home Assistant/2025.5.1 (io.robbie.HomeAssistant; build:2025.1177; iOS 18.5.0) Alamofire/5.10.2",
        "Home Assistant on iOS",
    ),
    ("MyShop iOS/5.2.0 CFNetwork/3826.500.131 Darwin/24.5.0", "MyShop on iOS"),
    ("MyShop/5.2 (visionOS 2.5) CFNetwork/3826.500.131 Darwin/24.5.0", "MyShop on Apple Vision Pro"),
    ("MyShop/5.2 ktor-client", "MyShop"),
    ("ChatGPT/1.2025.133 (Mac OS X 15.4.1; arm64; build 1747175219)", "ChatGPT on macOS"),
    ("Spotify/9.0.44 iOS/18.5 (iPhone16,1)", "Spotify on iPhone"),
    ("claude-cli/2.0.14 (external, cli)", "claude-cli"),
    ("MyApp/1.0 (iPhone; iOS 17.0; Scale/3.00)", "MyApp on iPhone"),
    ("MyApp/1.0 (iPad; iOS 17.0; Scale/2.00)", "MyApp on iPad"),
    ("MyApp/3.2 iOS/17.4 CFNetwork/1494.0.7 Darwin/23.4.0", "MyApp on iOS"),
    ("MyApp/1 CFNetwork/1568.200.51 Darwin/24.1.0 (arm64) (MacBookPro18%2C1)", "MyApp on macOS"),
    ("MyApp/1 (Mac14,2) CFNetwork/1568.200.51 Darwin/24.1.0", "MyApp on macOS"),
    ("Mail/3774.400.31 CFNetwork/1494 Darwin/23.4.0 (x86_64)", "Mail on macOS"),
    ("Safari/20622.1.22.11.15 CFNetwork/3826.500.131 Darwin/24.6.0", "Safari"),
    ("MobileSafari/8622.1.22 CFNetwork/3826.500.131 Darwin/24.6.0", "Safari"),
    ("CFNetwork/1494 Darwin/23.4.0", "CFNetwork"),
    ("%E5%BE%AE%E4%BF%A1/8.0 CFNetwork/1494.0.7 Darwin/23.4.0", "微信"),
    ("MyApp/1.0 (com.example.app; build:1; macOS 14.0.0) Alamofire/5.8.0", "MyApp on macOS"),
    ("MyApp/1.0 (com.example.app; build:3; visionOS 2.1.0) Alamofire/5.10.2", "MyApp on Apple Vision Pro"),
    ("MyApp/1.0 (com.example.app; build:3; tvOS 18.1.0) Alamofire/5.10.2", "MyApp on Apple TV"),
    ("MyApp/1.0 (com.example.app; build:3; watchOS 11.1.0) Alamofire/5.10.2", "MyApp on Apple Watch"),
    ("Tesla/4.30.6 (com.teslamotors.TeslaApp; build:2600; iOS 17.5.1) Alamofire/5.2.1", "Tesla on iOS"),
    ("BOTIM/3.1 (iPhone; iOS 17.0; Scale/3.00)", "BOTIM on iPhone"),
    ("Slack/4.36.140 (macOS 14.2.1; x64; en-US)", "Slack on macOS"),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.41.97 Chrome/130.0.6723.137 Electron/33.2.0 Safari/537.36 Sonic Slack_SSB/4.41.97",
        "Slack on macOS",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.96.0 Chrome/128.0.6613.186 Electron/32.2.6 Safari/537.36",
        "VS Code on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) discord/1.0.9175 Chrome/128.0.6613.186 Electron/32.2.7 Safari/537.36",
        "Discord on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Teams/1.5.00.8070 Chrome/85.0.4183.121 Electron/10.4.7 Safari/537.36",
        "Teams on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0 Teams/24295.605.3225.8804",
        "Teams on Windows",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Signal/7.36.0 Chrome/130.0.0.0 Electron/33.0.0 Safari/537.36",
        "Signal on Linux",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Notion/4.2.0 Chrome/130.0.0.0 Electron/33.0.0 Safari/537.36",
        "Notion on macOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) obsidian/1.7.7 Chrome/128.0.6613.186 Electron/32.2.5 Safari/537.36",
        "Obsidian on macOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Postman/11.20.0 Chrome/122.0.6261.156 Electron/29.4.6 Safari/537.36",
        "Postman on macOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Cursor/0.45.14 Chrome/128.0.0.0 Electron/32.2.6 Safari/537.36",
        "Cursor on macOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) 1Password/8.10.60 Chrome/130.0.0.0 Electron/33.0.0 Safari/537.36",
        "1Password on Linux",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) my-company-app/1.0.0 Chrome/128.0.6613.186 Electron/32.2.7 Safari/537.36",
        "my-company-app on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.6613.186 Electron/32.2.7 Safari/537.36",
        "App on Windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "App on macOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.183 Safari/537.36 Valve Steam Client",
        "Steam on Linux",
    ),
    (
        "Mozilla/5.0 (Windows; U; Windows NT 10.0; en-US; Valve Steam Client/default/1733265492) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.183 Safari/537.36",
        "Steam on Windows",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; Steam Deck) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.183 Safari/537.36",
        "Chrome on Steam Deck",
    ),
    # apps with a browser in them
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.54(0x18003630) NetType/WIFI Language/en",
        "WeChat on iPhone",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; V2318A Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.188 Mobile Safari/537.36 XWEB/1260183 MMWEBSDK/20240802 MMWEBID/5033 MicroMessenger/8.0.54.2760(0x28003640) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64",
        "WeChat on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_37.2.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/en Region/US",
        "TikTok on iPhone",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.81 Mobile Safari/537.36 trill_370204 JsSdk/1.0 NetType/WIFI Channel/googleplay AppName/musical_ly app_version/37.2.4 ByteLocale/en BytedanceWebview/d8a21c6",
        "TikTok on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.20.0",
        "LINE on iPhone",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.81 Mobile Safari/537.36 Line/14.20.0/IAB",
        "LINE on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/345.0.698384166 Mobile/15E148 Safari/604.1",
        "Google on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.30.3124",
        "LinkedIn on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/492.0.0.67.109;FBBV/665337277;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/18.1]",
        "Facebook on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Barcelona 350.0.0.28.109 (iPhone14,5; iOS 18_6; en_US; en; scale=3.00; 1170x2532; 665337277)",
        "Threads on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Snapchat/13.17.0.35 (like Safari/8618.1.15, panda)",
        "Snapchat on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 WhatsApp/2.24.15.78",
        "WhatsApp on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Slack/24.06.10 iOS/17.5",
        "Slack on iPhone",
    ),
    # browsers of these years, where they say their name: Arc, Comet, Dia and Helium mostly call themselves Chrome
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/Focus/8.1.1 Mobile/15E148 Safari/605.1.15",
        "Firefox Focus on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Focus/132.0 Mobile/15E148 Safari/605.1.15",
        "Firefox Focus on iPhone",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Klar/132.0 Mobile/15E148 Safari/605.1.15",
        "Firefox Focus on iPhone",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0 LibreWolf/133.0-1",
        "LibreWolf on Linux",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 LibreWolf/133.0",
        "LibreWolf on Windows",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0 MullvadBrowser/13.5",
        "Mullvad Browser on Linux",
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0 Zen/1.0.2", "Zen on Linux"),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0 Floorp/11.20.0",
        "Floorp on Windows",
    ),
    (
        "Mozilla/5.0 (macOS; AArch64) Ladybird/1.0 Chrome/146.0.0.0 AppleWebKit/537.36 Safari/537.36",
        "Ladybird on macOS",
    ),
    ("Mozilla/5.0 (Linux; x86_64) Ladybird/1.0", "Ladybird on Linux"),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Arc/1.70",
        "Arc on macOS",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Comet/141.0",
        "Comet on Windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Dia/1.0",
        "Dia on macOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Helium/0.5",
        "Helium on Linux",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15 Orion/1.0",
        "Orion on macOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15 Ddg/18.1",
        "DuckDuckGo on macOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/133.0 Mobile/15E148 Safari/605.1.15 (Ecosia ios@10.4.0.1911)",
        "Ecosia on iPhone",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36 (Ecosia android@131.0.6778.105)",
        "Ecosia on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Brave/1 Mobile/15E148 Safari/605.1.15",
        "Brave on iPhone",
    ),
    # phones without Android, glasses, watches, televisions, consoles, cars and a fridge
    (
        "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36  ArkWeb/4.1.6.1 Mobile",
        "App on HarmonyOS",
    ),
    (
        "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile MyShop/3.2",
        "MyShop on HarmonyOS",
    ),
    (
        "Mozilla/5.0 (Tablet; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 HuaweiBrowser/5.0.4.300",
        "Huawei Browser on HarmonyOS",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; HarmonyOS; NOH-AN00; HMSCore 6.13.0.302) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.88 HuaweiBrowser/14.0.5.302 Mobile Safari/537.36",
        "Huawei Browser on HarmonyOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; Quest 3) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/36.2.0.9.30 Chrome/130.0.6723.108 VR Safari/537.36",
        "Oculus Browser on Meta Quest",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1 VisionOS",
        "Safari on Apple Vision Pro",
    ),
    (
        "Mozilla/5.0 (Linux; Tizen 5.5; SM-R840) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/2.0 Chrome/63.0.3239.84 Mobile Safari/537.36",
        "Samsung Internet on Galaxy Watch",
    ),
    (
        "Mozilla/5.0 (Linux; U; VIDAA; VIDAA/8.0(Hisense;SmartTV;50A6G;MTK9602/V0001.08.00A.O0115;UHD;HU50A6G;)) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.93 Safari/537.36",
        "Chrome on VIDAA TV",
    ),
    (
        "Mozilla/5.0 (Linux; Large Screen) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.81 Safari/537.36 VIDAA/6.0 Hisense",
        "Chrome on VIDAA TV",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Chromecast Build/UTTC.241004.006) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Chrome on Chromecast",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Google TV Streamer Build/UTTK.240920.003) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Chrome on Android TV",
    ),
    (
        "Mozilla/5.0 (Linux; Android 11; AFTKA Build/RS8125) AppleWebKit/537.36 (KHTML, like Gecko) Silk/131.3.1 like Chrome/131.0.0.0 Safari/537.36",
        "Amazon Silk on Fire TV",
    ),
    (
        "Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/6.0 Chrome/108.0.5359.1 TV Safari/537.36",
        "Samsung Internet on Samsung TV",
    ),
    (
        "Mozilla/5.0 (Linux; Tizen 7.0; FamilyHub) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 Chrome/94.0.4606.31 Safari/537.36",
        "Samsung Internet on Samsung Family Hub",
    ),
    (
        "Mozilla/5.0 (Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.93 Safari/537.36 HbbTV/1.5.1 (+DRM; Philips; 50PUS7506; TPM211; 0.1; )",
        "Smart TV",
    ),
    (
        "Mozilla/5.0 (Nintendo Switch 2; WebApplet) AppleWebKit/613.0 (KHTML, like Gecko) NF/8.0.1.1 NintendoBrowser/6.0.0.1",
        "Nintendo Switch 2",
    ),
    (
        "Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.5414.130 Safari/537.36 Tesla/2024.26.3-0",
        "Chrome on Tesla",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; Android Automotive; Polestar 2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Chrome on Android Automotive",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Ariver/1.1.0 AliApp(AP/10.6.0.6000) Nebula WK RVKType(0) AlipayDefined(nt:WIFI) AlipayClient/10.6.0.6000 Language/en",
        "Alipay on iPhone",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0 Waterfox/6.5.0",
        "Waterfox on Linux",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; Quest 3 Build/SQ3A.220605.009.A1; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Safari/537.36",
        "App on Meta Quest",
    ),
    (
        "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 DMOST/2.0.0 (; LGE; webOS.TV; 03.20.50)",
        "Chrome on LG TV",
    ),
    (
        "Mozilla/5.0 (PlayStation Vita 3.74) AppleWebKit/537.73 (KHTML, like Gecko) Silk/3.2",
        "NetFront NX on PlayStation",
    ),
    (
        "Mozilla/5.0 (Nintendo 3DS; U; ; en) Version/1.7630.EU",
        "NetFront NX on Nintendo 3DS",
    ),
    (
        "Mozilla/5.0 (Nintendo WiiU) AppleWebKit/536.30 (KHTML, like Gecko) NX/3.0.4.2.12 NintendoBrowser/4.3.1.11264.US",
        "NetFront NX on Wii U",
    ),
    (
        "MyApp/3.0 (iOS 18.1)",
        "MyApp on iOS",
    ),
    (
        "AppleCoreMedia/1.0.0.22L572 (AppleTV; U; CPU OS 18_2 like Mac OS X; en_us)",
        "AppleCoreMedia on Apple TV",
    ),
    (
        "Mozilla/5.0 (Linux; SmartTV; 4K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.5359.1 Safari/537.36",
        "Chrome on Smart TV",
    ),
    # bots that say so, whatever device they claim to be
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
        "ClaudeBot",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; PerplexityBot/1.0; +https://perplexity.ai/perplexitybot)",
        "PerplexityBot",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)",
        "Perplexity-User",
    ),
    (
        "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
        "Bytespider",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
        "Applebot",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/8.0.2 Safari/600.2.5 (Amazonbot/0.1; +https://developer.amazon.com/support/amazonbot)",
        "Amazonbot",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; OAI-SearchBot/1.0; +https://openai.com/searchbot)",
        "OAI-SearchBot",
    ),
    ("CCBot/2.0 (https://commoncrawl.org/faq/)", "CCBot"),
    ("WhatsApp/2.24.20.89 A", "WhatsApp (bot)"),
    ("Scrapy/2.12.0 (+https://scrapy.org)", "Scrapy (bot)"),
    # programs
    ("node", "node"),
    ("undici", "undici"),
    ("undici/6.21.0", "undici"),
    ("Deno/2.1.4", "Deno"),
    ("Bun/1.1.42", "Bun"),
    ("reqwest/0.12.9", "reqwest"),
    ("GuzzleHttp/7", "GuzzleHttp"),
    ("Faraday v2.12.2", "Faraday"),
    ("Java-http-client/21.0.5", "Java-http-client"),
    ("Python/3.12 websockets/13.0", "Python"),
    ("HTTPie/3.2.4", "HTTPie"),
    ("insomnia/10.3.0", "insomnia"),
    ("k6/0.55.0 (https://k6.io/)", "k6"),
    ("UnityPlayer/6000.0.32f1 (UnityWebRequest/1.0, libcurl/8.10.1-DEV)", "UnityPlayer"),
    # names that a mail client would make a link of
    ("secure-login.example.net/1.0", ""),
    ("com.example.Notes/3", "Notes"),
    ("com.example.notes/3.2.1 CFNetwork/1494 Darwin/23.4.0", "notes"),
    ("evil.com/1.0 (Android 15; Pixel 9)", "evilcom on Android"),
    ("Node.js/22", "Nodejs"),
    ("Paint.NET/5.1", "PaintNET"),
]
