// Forwards connections. Both arguments are `address:port` or the path of a socket.
//   node tcp-relay.ts <listening address> <destination>
import { createServer, connect, type NetConnectOpts, type Socket } from "node:net";

const [from = "", to = ""] = process.argv.slice(2);

function place(text: string): { path: string } | { host: string; port: number } {
  if (text.startsWith("/")) return { path: text };
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

const server = createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ ...place(to), allowHalfOpen: true } as NetConnectOpts);
  join(near, far);
  join(far, near);
});
server.listen(place(from), () => process.stdout.write("ready\n"));
process.stdin.on("end", () => process.exit(0)).resume();

/** Connects two sockets. An end is passed on as an end, and a reset as a reset. */
function join(source: Socket, target: Socket): void {
  source.pipe(target);
  source
    .on("error", () => target.resetAndDestroy())
    .on("close", (broken) => (broken ? undefined : target.destroySoon()));
}
