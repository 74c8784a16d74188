import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { silentLogger, systemClock } from "../base/index.ts";
import { TestAuthority } from "../net/testing/index.ts";
import type { BundleRoot } from "./translate/index.ts";
import { TrustAnchors } from "./trust-anchors.ts";

const [own, named, fetched] = [
  await TestAuthority.create(),
  await TestAuthority.create(),
  await TestAuthority.create(),
];
const meshDomains = ["cluster.local", "old.example"];
/** A root as TrustAnchors publishes it. Without `trustDomains`, it may sign for every trust domain. */
const root = (authority: TestAuthority, trustDomains?: readonly string[]): BundleRoot => ({
  pem: `${pemOf(authority).trim()}\n`,
  fingerprint: new X509Certificate(authority.roots).fingerprint256.replaceAll(":", "").toLowerCase(),
  trustDomains,
});
const inOrder = (...roots: readonly BundleRoot[]): readonly BundleRoot[] =>
  roots.toSorted((one, other) => (one.pem < other.pem ? -1 : 1));
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
  const published: (readonly BundleRoot[])[] = [];
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
  const both = [
    { pem: named.roots, trustDomains: [] },
    { pem: named.roots.replaceAll("\n", "\r\n"), trustDomains: [] },
    { pem: own.roots, trustDomains: ["other.example"] },
  ];
  anchors.setTrusted(both, meshDomains);
  assert.deepEqual(published.at(-1), inOrder(root(own), root(named, meshDomains)));
  anchors.setTrusted(both.toReversed(), meshDomains);
  assert.equal(published.length, 2, "the same roots are not published again");
  anchors.setTrusted([], meshDomains);
  assert.equal(published.at(-1)?.length, 1);
});

test("a root may sign for the trust domains of its entries, or for the mesh's if an entry names none", async () => {
  const { anchors, published, turn } = setUp(() => bundle(fetched.roots));
  const stop = new AbortController();
  const entries = [
    { pem: named.roots, trustDomains: ["b.example"] },
    { pem: named.roots, trustDomains: ["a.example"] },
    { spiffeBundleUrl: address, trustDomains: ["c.example"] },
  ];
  anchors.setTrusted(entries, meshDomains);
  const running = anchors.run(stop.signal);
  await turn();
  assert.deepEqual(published.at(-1), inOrder(root(named, ["a.example", "b.example"]), root(fetched, ["c.example"])));
  anchors.setTrusted([...entries, { spiffeBundleUrl: address, trustDomains: [] }], ["mesh.example"]);
  assert.deepEqual(
    published.at(-1),
    inOrder(root(named, ["a.example", "b.example"]), root(fetched, ["c.example", "mesh.example"])),
  );
  stop.abort();
  await running;
});

test("one unusable root in the mesh config leaves all its roots unchanged", async () => {
  const { anchors, published } = setUp(() => "");
  const leaf = (await named.issue({ dns: "a.example" })).certificateChain;
  anchors.setTrusted([{ pem: named.roots, trustDomains: [] }], meshDomains);
  for (const pem of ["nonsense", leaf])
    anchors.setTrusted(
      [
        { pem, trustDomains: [] },
        { pem: fetched.roots, trustDomains: [] },
      ],
      meshDomains,
    );
  assert.deepEqual(published, [[root(named, meshDomains)]]);
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
  anchors.setTrusted([{ spiffeBundleUrl: address, trustDomains: [] }], meshDomains);
  const running = anchors.run(stop.signal);
  await turn();
  assert.deepEqual(published, [[root(fetched, meshDomains)]]);
  assert.deepEqual([urls, waits], [[address], [30 * 60_000]]);
  for (let fault = 0; fault < 3; fault += 1) await next();
  assert.equal(published.length, 1, "the last roots stay");
  assert.ok(
    waits.slice(1).every((ms) => ms <= 60_000),
    "a fault is followed by another try soon",
  );
  await next();
  assert.equal(published.at(-1)?.length, 2);
  anchors.setTrusted([], meshDomains);
  assert.deepEqual(published.at(-1), []);
  stop.abort();
  await running;
});
