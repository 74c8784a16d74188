import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { TooLong, unreachable, wholeBody } from "./transport.ts";

test("a body is complete even if its HTTP/2 exchange ends before anybody reads it", async () => {
  const body = new Readable({ read: () => undefined });
  // Like an Http2Stream whose frames arrived all at once: `closed` is true although the end has not been read.
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

test("the error for a server that is reached only by the kubeconfig's proxy names another way", () => {
  const config = { server: "https://x", context: "work", namespace: "default" };
  const hintOf = (proxyUrl?: string): string | undefined =>
    unreachable(proxyUrl === undefined ? config : { ...config, proxyUrl }, new Error("timed out")).hint;
  assert.equal(hintOf(), 'check that the API server of the context "work" runs');
  assert.match(
    hintOf("socks5://localhost:1080") ?? "",
    /does not use the proxy-url of the context "work": run kubectl proxy/,
  );
});
