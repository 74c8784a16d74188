import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { createClusterPki } from "./cluster-pki.ts";
import { Listeners } from "./listeners.ts";

test("a client of HTTP/1.1 that never completes its head loses its connection", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-listeners-"));
  const pki = createClusterPki(directory, { nodes: [] });
  const pem = (file: string): string => readFileSync(file, "utf8");
  const files = {
    certificate: pem(pki.serverCertificate),
    key: pem(pki.serverKey),
    clientCa: pem(pki.caCertificate),
  };
  const unexpected = (): never => assert.fail("no request was complete");
  const listeners = new Listeners(files, { request: unexpected, upgrade: unexpected }, { headMs: 1, lookMs: 5 });
  const { port } = await listeners.listen({ host: "127.0.0.1", port: 0 });
  const client = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
  client.write("GET / HTTP/1.1\r\nhost: a\r\n");
  let answer = "";
  for await (const chunk of client) answer += String(chunk);
  assert.match(answer, /^HTTP\/1\.1 408 /);
  await listeners.close(0, AbortSignal.abort());
  rmSync(directory, { recursive: true });
});
