// Answers `/hello` with its version and the name of its pod.
import { hostname } from "node:os";
import { sendText, serve } from "../bookinfo/src/http-app.ts";

const version = process.env["SERVICE_VERSION"] ?? "unknown";
const instance = process.env["HOSTNAME"] ?? hostname();

serve("helloworld", 5000, (_request, response, url) => {
  if (url.pathname === "/hello")
    return sendText(response, 200, "text/html; charset=utf-8", `Hello version: ${version}, instance: ${instance}\n`);
  if (url.pathname === "/health") return sendText(response, 200, "text/html; charset=utf-8", "Helloworld is healthy");
  sendText(response, 404, "text/plain", "not found\n");
});
