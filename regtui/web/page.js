// The way back is the way the page came: through a tunnel or a proxy its address is not the one that is served.
const terminal = document.getElementById("terminal");
terminal.dataset.sessionWebsocketUrl = new URL("ws", window.location.href).href.replace(/^http/, "ws");
const size = new URLSearchParams(window.location.search).get("fontsize");
if (/^\d{1,2}$/.test(size)) terminal.dataset.fontSize = size;
// Keys go to the app without a click before them; the terminal is made when all has loaded.
window.addEventListener("load", () => setTimeout(() => document.querySelector(".xterm-helper-textarea").focus()));
