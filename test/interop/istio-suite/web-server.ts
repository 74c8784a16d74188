// What Istio's tests need of busybox's web server: `httpd -f -p PORT -h FOLDER`.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    foreground: { type: "boolean", short: "f" },
    port: { type: "string", short: "p", default: "80" },
    home: { type: "string", short: "h", default: "." },
  },
});

createServer((request, response) => {
  const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
  readFile(join(values.home, path.endsWith("/") ? `${path}index.html` : path)).then(
    (body) => response.writeHead(200).end(body),
    () => response.writeHead(404).end(),
  );
}).listen(Number(values.port));

process.on("SIGTERM", () => process.exit(0));
