import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { ownsSocket } from "./own-sockets.ts";

test("a connection from this process is told from one of another process in the pod", async () => {
  const server = createServer((socket) => socket.on("error", () => undefined));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = async (): Promise<Socket> => {
    const [socket] = (await once(server, "connection")) as [Socket];
    return socket;
  };
  const [ours] = await Promise.all([accepted(), once(connect(port, "127.0.0.1").unref(), "connect")]);
  assert.equal(ownsSocket(ours.remotePort ?? 0, port), true);
  const script = `require("node:net").connect(${port}, "127.0.0.1"); setTimeout(() => {}, 60_000)`;
  const other = spawn(process.execPath, ["-e", script], { stdio: "ignore" });
  const theirs = await accepted();
  assert.equal(ownsSocket(theirs.remotePort ?? 0, port), false);
  other.kill("SIGKILL");
  await once(other, "exit");
  for (const socket of [ours, theirs]) socket.destroy();
  server.close();
});
