import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { silentLogger, systemClock } from "../base/index.ts";
import { TestAuthority } from "../net/testing/index.ts";
import { TrustAnchors } from "./trust-anchors.ts";

const [own, named, fetched] = [
  await TestAuthority.create(),
  await TestAuthority.create(),
  await TestAuthority.create(),
];
const pemOf = ({ roots }: TestAuthority): string => new X509Certificate(roots).toString();
const bundle = (...roots: readonly string[]): string =>
  JSON.stringify({
    spiffe_sequence: 1,
    keys: [
      ...roots.map((pem) => ({ kty: "EC", use: "x509-svid", x5c: [new X509Certificate(pem).raw.toString("base64")] })),
      { kty: "EC", use: "jwt-svid" },
    ],
  });
const address = "https://spire.example/bundle";

function setUp(answers: (url: string) => string | Error) {
  const published: (readonly string[])[] = [];
  const waits: number[] = [];
  const urls: string[] = [];
  let goOn: () => void = () => undefined;
  const clock = {
    ...systemClock,
    sleep: async (ms: number, signal?: AbortSignal) => {
      waits.push(ms);
      await new Promise<void>((resolve) => {
        goOn = resolve;
        signal?.addEventListener("abort", () => resolve());
      });
    },
  };
  const fetchText = (url: string): Promise<string> => {
    urls.push(url);
    const answer = answers(url);
    return typeof answer === "string" ? Promise.resolve(answer) : Promise.reject(answer);
  };
  const anchors = new TrustAnchors({
    fetchText,
    publish: (roots) => void published.push(roots),
    clock,
    log: silentLogger,
    random: () => 0.5,
  });
  const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
  return { anchors, published, waits, urls, turn, next: async () => (goOn(), await turn()) };
}

test("the control plane's own roots and the mesh config's form one list without duplicates, in a stable order", () => {
  const { anchors, published } = setUp(() => "");
  anchors.setOwn([own.roots]);
  anchors.setTrusted([
    { pem: named.roots, trustDomains: [] },
    { pem: named.roots.replaceAll("\n", "\r\n"), trustDomains: [] },
    { pem: own.roots, trustDomains: [] },
  ]);
  assert.deepEqual(published.at(-1), [own, named].map((authority) => `${pemOf(authority).trim()}\n`).toSorted());
  anchors.setTrusted([{ pem: named.roots, trustDomains: ["other.example"] }]);
  assert.equal(published.length, 2, "the same roots are not published again");
  anchors.setTrusted([]);
  assert.equal(published.at(-1)?.length, 1);
});

test("one unusable root in the mesh config leaves all its roots unchanged", async () => {
  const { anchors, published } = setUp(() => "");
  const leaf = (await named.issue({ dns: "a.example" })).certificateChain;
  anchors.setTrusted([{ pem: named.roots, trustDomains: [] }]);
  for (const pem of ["nonsense", leaf])
    anchors.setTrusted([
      { pem, trustDomains: [] },
      { pem: fetched.roots, trustDomains: [] },
    ]);
  assert.deepEqual(published, [[`${pemOf(named).trim()}\n`]]);
});

test("bundles are fetched, kept when a fetch fails, fetched again, and dropped when no longer named", async () => {
  const answers: (string | Error)[] = [
    bundle(fetched.roots),
    new Error("away"),
    "{}",
    bundle(),
    bundle(fetched.roots, named.roots),
  ];
  const { anchors, published, waits, urls, turn, next } = setUp(() => answers.shift() ?? new Error("no more"));
  const stop = new AbortController();
  anchors.setTrusted([{ spiffeBundleUrl: address, trustDomains: [] }]);
  const running = anchors.run(stop.signal);
  await turn();
  assert.deepEqual(published, [[`${pemOf(fetched).trim()}\n`]]);
  assert.deepEqual([urls, waits], [[address], [30 * 60_000]]);
  for (let fault = 0; fault < 3; fault += 1) await next();
  assert.equal(published.length, 1, "the last roots stay");
  assert.ok(
    waits.slice(1).every((ms) => ms <= 60_000),
    "a fault is followed by another try soon",
  );
  await next();
  assert.equal(published.at(-1)?.length, 2);
  anchors.setTrusted([]);
  assert.deepEqual(published.at(-1), []);
  stop.abort();
  await running;
});
