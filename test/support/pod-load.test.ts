import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { PodLoad } from "./pod-load.ts";

test("each request of a pod's load has a connection of its own, and an answer other than 200 is a failure", async () => {
  let connections = 0;
  const requestCounts: Record<string, number> = { plain: 0, marked: 0 };
  const server = createServer((request, response) => {
    requestCounts[request.headers["x-mark"] === "yes" ? "marked" : "plain"]! += 1;
    response.writeHead(request.url === "/bad" ? 503 : 200).end("told");
  });
  server.on("connection", () => (connections += 1)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  /** Runs what follows `--` on this machine, in place of the pod. */
  const spawnInShell = (command: readonly string[]): ReturnType<typeof spawn> => {
    const [program = "", ...args] = command.slice(command.indexOf("--") + 1);
    return spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  };
  const place = { namespace: "default", workload: "pod/client", container: "client" };
  const load = new PodLoad({ spawnInShell }, { ...place, urls: [url, `-H x-mark:yes ${url}/bad`] });
  await load.begun();
  assert.ok(load.requests >= 4, "each URL has been requested twice");
  await load.more(24);
  await load.stop();
  server.closeAllConnections();
  server.close();
  assert.ok(
    load.requests >= 24 && connections >= load.requests,
    `${connections} connections, ${load.requests} requests`,
  );
  const { plain = 0, marked = 0 } = requestCounts;
  assert.ok(connections === plain + marked, `${connections} connections of ${plain + marked} requests`);
  assert.ok(Math.abs(plain - marked) <= 1, `${plain} and ${marked}: both URLs are asked in turn`);
  assert.ok(
    load.failures.length >= 11 && load.failures.every((line) => line.includes(" 503 0 ")),
    load.failures.join(),
  );
});
