import assert from "node:assert/strict";
import { test } from "node:test";
import { compareRoots, type RevisionRoots, type RootCertificate } from "./compare-roots.ts";

const nowMs = Date.parse("2026-06-01T00:00:00Z");
const first: RootCertificate = {
  fingerprint: "a".repeat(64),
  subject: "O=cluster.local",
  notAfter: "2036-01-01T00:00:00Z",
};
const second: RootCertificate = { fingerprint: "b".repeat(64), subject: "O=other", notAfter: "2036-01-01T00:00:00Z" };
const old: RevisionRoots = {
  revision: "old",
  trustDomain: "cluster.local",
  trustDomainAliases: [],
  signing: [first],
  trusted: [first],
  unknown: "",
};

test("revisions that share root and trust domain are compatible", () => {
  assert.deepEqual(compareRoots(old, { ...old, revision: "new" }, nowMs), {
    compatible: true,
    problems: [],
    notes: [],
  });
});

test("a root that the other revision does not trust is named, in each direction", () => {
  const { compatible, problems } = compareRoots(
    old,
    { ...old, revision: "new", signing: [second], trusted: [second] },
    nowMs,
  );
  assert.equal(compatible, false);
  assert.equal(problems.length, 2);
  assert.match(
    problems[0] ?? "",
    /^new signs with root O=other \(sha256 b{12}…\), which data planes of old do not trust \(they trust O=cluster.local/,
  );
  assert.match(problems[1] ?? "", /^old signs with root O=cluster.local .* data planes of new do not trust/);
});

test("a second root that both trust is no problem, whichever signs", () => {
  const both = [first, second];
  assert.equal(
    compareRoots({ ...old, trusted: both }, { ...old, revision: "new", signing: [second], trusted: both }, nowMs)
      .compatible,
    true,
  );
});

test("trust domains must be equal, or aliases of each other", () => {
  const other: RevisionRoots = {
    ...old,
    revision: "new",
    trustDomain: "mesh.example",
    trustDomainAliases: ["cluster.local"],
  };
  assert.match(compareRoots(old, other, nowMs).problems.join(), /trustDomainAliases of old must name mesh.example, or/);
  assert.equal(compareRoots({ ...old, trustDomainAliases: ["mesh.example"] }, other, nowMs).compatible, true);
});

test("an unknown or expired root is a problem, and a root that expires soon is a note", () => {
  assert.match(
    compareRoots(
      old,
      { ...old, revision: "new", signing: [], unknown: "no pod of istiod runs" },
      nowMs,
    ).problems.join(),
    /the root that new signs with is not known: no pod of istiod runs/,
  );
  const ended = { ...old, signing: [{ ...first, notAfter: "2026-05-01T00:00:00Z" }] };
  assert.match(compareRoots(ended, ended, nowMs).problems.join(), /expired at 2026-05-01/);
  const soon = { ...old, signing: [{ ...first, notAfter: "2026-06-11T00:00:00Z" }] };
  assert.deepEqual(compareRoots(soon, soon, nowMs).notes, [
    `root O=cluster.local (sha256 ${"a".repeat(12)}…) expires in 10 days, at 2026-06-11T00:00:00Z`,
  ]);
});
