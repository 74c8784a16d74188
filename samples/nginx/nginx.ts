// A web server that tells its version: `/` for people, `/health` for probes.
import { sendText, serve } from "../bookinfo/src/http-app.ts";

const version = process.env["NGINX_SERVER_VERSION"] ?? "v1";
const port = 80;

serve("nginx", port, (_request, response, url) => {
  if (url.pathname === "/health") return sendText(response, 200, "text/plain", "healthy\n");
  if (url.pathname === "/")
    return sendText(response, 200, "text/plain", `You're at the root of nginx server ${version}`);
  sendText(response, 404, "text/plain", "not found\n");
});
