// Answers every request with its own description and the server's name, as text.
import { hostname } from "node:os";
import { readBody, sendText, serve } from "../bookinfo/src/http-app.ts";

const port = Number(process.env["PORT"] ?? 8080);
const pod = process.env["HOSTNAME"] ?? hostname();

serve("echoserver", port, async (request, response, url) => {
  const body = await readBody(request);
  const headers = Object.entries(request.headers).map(([name, value]) => `\t${name}=${String(value)}`);
  const text = [
    "",
    "",
    `Hostname: ${pod}`,
    "",
    "Pod Information:",
    "\t-no pod information available-",
    "",
    "Server values:",
    "\tserver_version=serin",
    "",
    "Request Information:",
    `\tclient_address=${request.socket.remoteAddress?.replace(/^::ffff:/, "") ?? ""}`,
    `\tmethod=${request.method ?? ""}`,
    `\treal path=${url.pathname}${url.search}`,
    `\tquery=${url.search.slice(1)}`,
    `\trequest_version=${request.httpVersion}`,
    "\trequest_scheme=http",
    `\trequest_uri=http://${request.headers.host ?? ""}${url.pathname}${url.search}`,
    "",
    "Request Headers:",
    ...headers.toSorted(),
    "",
    "Request Body:",
    body === "" ? "\t-no body in request-" : body,
    "",
    "",
  ];
  sendText(response, 200, "text/plain", text.join("\n"));
});
