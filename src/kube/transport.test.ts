import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createPlainServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { createServer } from "node:tls";
import "reflect-metadata";
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import { describeError } from "../base/index.ts";
import { dialTls, TooLong, unreachable, wholeBody } from "./transport.ts";

test("a body is complete even if its HTTP/2 exchange ends before anybody reads it", async () => {
  const body = new Readable({ read: () => undefined });
  // Behaves like an Http2Stream whose frames arrived all at once: `closed` is true although nobody has read the end
  // yet.
  Object.defineProperty(body, "closed", { value: true });
  body.push("an ");
  body.push("answer");
  setImmediate(() => body.push(null));
  assert.equal((await wholeBody(body, 100)).toString(), "an answer");
});

test("reading a body that breaks off, has broken off or is too long fails", async () => {
  const broken = new Readable({ read: () => undefined });
  broken.push("an ");
  setImmediate(() => broken.destroy());
  await assert.rejects(wholeBody(broken, 100), /closed in the middle of the answer/);
  await assert.rejects(wholeBody(broken, 100), /closed before the answer was read/);
  const failed = new Readable({ read: () => undefined });
  setImmediate(() => failed.destroy(new Error("reset")));
  await assert.rejects(wholeBody(failed, 100), /reset/);
  const long = Readable.from([Buffer.alloc(60), Buffer.alloc(60)]);
  await assert.rejects(wholeBody(long, 100), TooLong);
  assert.ok(long.destroyed);
});

test("a kubeconfig without a certificate authority trusts the machine's authorities, which Node alone does not read", async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=company",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }])],
  });
  const cert = made.toString("pem");
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const directory = mkdtempSync(join(tmpdir(), "serin-roots-"));
  writeFileSync(join(directory, "roots.pem"), cert);
  process.env["SSL_CERT_FILE"] = join(directory, "roots.pem");
  const server = createServer({ key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`, cert });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const config = { server: url, context: "test", namespace: "default" };
    const socket = await dialTls(config, undefined, ["http/1.1"]);
    assert.ok(socket.authorized);
    socket.destroy();
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});

test("the error for a server without TLS names its port, and quotes OpenSSL without a source file", async () => {
  const server = createPlainServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = { server: url, context: "test", namespace: "default" };
  try {
    const error: unknown = await dialTls(config, undefined, ["http/1.1"]).then(
      () => undefined,
      (fault: unknown) => fault,
    );
    assert.deepEqual(describeError(unreachable(config, error)).split("\n"), [
      `cannot reach the API server at ${url}`,
      "  caused by: wrong version number",
      '  hint: the server answers without TLS: check the address and the port of the context "test" in the kubeconfig',
    ]);
  } finally {
    server.close();
  }
});
