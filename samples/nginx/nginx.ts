// A web server that shows its version: `/` for people, `/health` for probes. With NGINX_FAIL_EVERY=4 it answers every
// fourth page request with 503, like a bad release.
import { sendText, serve } from "../bookinfo/src/http-app.ts";

const version = process.env["NGINX_SERVER_VERSION"] ?? "v1";
const failEvery = Number(process.env["NGINX_FAIL_EVERY"] ?? 0);
const port = 80;
let pages = 0;

serve("nginx", port, (_request, response, url) => {
  if (url.pathname === "/health") return sendText(response, 200, "text/plain", "healthy\n");
  if (url.pathname === "/") pages += 1;
  if (url.pathname === "/" && failEvery > 0 && pages % failEvery === 0)
    return sendText(response, 503, "text/plain", `nginx server ${version} fails\n`);
  if (url.pathname === "/")
    return sendText(response, 200, "text/plain", `You're at the root of nginx server ${version}`);
  sendText(response, 404, "text/plain", "not found\n");
});
