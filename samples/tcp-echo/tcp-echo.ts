// A TCP server that answers each line with a prefix and the line, such as `hello world`. The arguments are the ports
// and the prefix: 9000,9001 hello
import { createServer, type Socket } from "node:net";

const [ports = "9000", prefix = "hello"] = process.argv.slice(2);
const lineLimitBytes = 1_048_576;
const open = new Set<Socket>();

function serveConnection(socket: Socket): void {
  let rest = "";
  open.add(socket);
  socket.setNoDelay(true);
  socket.on("close", () => open.delete(socket));
  socket.on("error", () => socket.destroy());
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineLimitBytes) socket.destroy();
    if (lines.length > 0) socket.write(lines.map((line) => `${prefix} ${line}\n`).join(""));
  });
}

for (const port of ports.split(",")) {
  const server = createServer(serveConnection);
  server.listen(Number(port), () => process.stdout.write(`tcp-echo listens on port ${port}\n`));
  process.on("SIGTERM", () => server.close());
}
