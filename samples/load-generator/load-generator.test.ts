import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../../src/base/testing/index.ts";
import { hurryFile, type LoadPlan } from "./load-plan.ts";

test("clients that send one request an hour send many while a file in the report directory asks for them", async (t) => {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    response.end("hello");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const reportDirectory = mkdtempSync(join(tmpdir(), "serin-load-"));
  const plan: LoadPlan = {
    reportDirectory,
    limitMs: 60_000,
    untilInputEnds: true,
    requests: [
      {
        name: "hello",
        protocol: "http",
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
        expected: "hello",
        keptAlive: 1,
        keptSeconds: 60,
        newConnections: 1,
        perSecond: 2 / 3600,
      },
    ],
    connections: [],
  };
  const program = join(import.meta.dirname, "load-generator.ts");
  const child = spawn(process.execPath, [program, JSON.stringify(plan)], { stdio: ["pipe", "pipe", "inherit"] });
  const closed = once(child, "close");
  t.after(async () => {
    child.stdin.end();
    await closed;
    server.close();
    rmSync(reportDirectory, { recursive: true });
  });
  await once(child.stdout, "data");
  writeFileSync(join(reportDirectory, hurryFile), String(3600 * 20));
  await until(() => requests >= 10);
});
