import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignPage } from "./foreign-page.ts";

type Request = Parameters<typeof foreignPage>[0];

function verdict(headers: Request["headers"], method = "GET", remoteAddress = "127.0.0.1"): string | undefined {
  return foreignPage({ socket: { remoteAddress } as Request["socket"], headers, method });
}

test("requests of programs and of our own pages pass", () => {
  for (const host of [
    undefined,
    "localhost:15000",
    "LOCALHOST",
    "a.localhost:1",
    "127.0.0.1:15000",
    "[::1]:15000",
    "10.1.0.2",
  ])
    assert.equal(verdict(host === undefined ? {} : { host }, "POST"), undefined, host);
  const own = { host: "localhost:15000", origin: "http://localhost:15000", "sec-fetch-site": "same-origin" };
  assert.equal(verdict(own, "POST"), undefined);
  const link = {
    host: "localhost:1",
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
  };
  assert.equal(verdict(link), undefined, "a person follows a link");
});

test("a page whose name resolves to this machine reads nothing, by any loopback address", () => {
  for (const remote of ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    for (const host of ["evil.example:15000", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:80:80"])
      assert.match(verdict({ host }, "GET", remote) ?? "", /is not a name of this machine/, host);
});

test("a page of another site can neither give an order nor embed a page", () => {
  const host = "localhost:15000";
  for (const headers of [
    { host, origin: "http://evil.example" },
    { host, origin: "null" },
    { host, origin: "http://localhost:8080" },
    { host, "sec-fetch-site": "cross-site" },
    { host, "sec-fetch-site": "same-site" },
    { host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
  ])
    assert.match(verdict(headers) ?? "", /a page of another origin/);
  const form = { host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  assert.match(verdict(form, "POST") ?? "", /a page of another origin/);
});

test("requests of other hosts, and of a sidecar of this pod, keep their names", () => {
  for (const remote of ["10.1.0.2", "127.0.0.6"])
    assert.equal(
      verdict({ host: "reviews.default", origin: "http://shop.example" }, "POST", remote),
      undefined,
      remote,
    );
});
