import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { silentLogger, systemClock, type Clock } from "../../base/index.ts";
import { collectGarbage, oldBytes, until } from "../../base/testing/index.ts";
import { TestAuthority, type Issued } from "../../net/testing/index.ts";
import { FakeCertificateAuthority } from "./fake-certificate-authority.ts";
import { followRevocations, RevocationLists } from "./revocation-lists.ts";
import { CertificateManager } from "./certificate-manager.ts";
import { handshake, type HandshakeEnd } from "./testing/handshake.ts";
import { workloadCertificate } from "./workload-certificate.ts";
import type { WorkloadCertificate } from "./certificate-types.ts";

const [ownId, otherId] = ["spiffe://cluster.local/ns/a/sa/us", "spiffe://cluster.local/ns/a/sa/them"];
const root = await TestAuthority.create();
const intermediate = await root.subordinate("0d");
const ours = await root.issue({ spiffe: ownId, serialNumber: "0a" });
const theirs = await root.issue({ spiffe: otherId, serialNumber: "0b" });
const below = await intermediate.issue({ spiffe: otherId, serialNumber: "0c" });

function held(identity: string, issued: Issued, revocations?: RevocationLists): WorkloadCertificate {
  const chain = [issued.certificateChain, issued.roots];
  return { ...workloadCertificate(identity, issued.privateKey, chain, [], { revocations }), receivedAtMs: 0 };
}

function outcomeOf(end: HandshakeEnd): string {
  return typeof end === "string" ? end : "let in";
}

function closed(stream: HandshakeEnd): Promise<string> {
  if (typeof stream === "string") return Promise.resolve(stream);
  return new Promise((resolve) => {
    stream.setHandler({ data() {}, end() {}, drain() {}, close: (error) => resolve(String(error)) });
    stream.resume();
  });
}

test("server and client each refuse a peer that its authority revoked, and each counts the refusal", async () => {
  const counted: string[] = [];
  const revocations = new RevocationLists((peer) => counted.push(peer));
  revocations.replace(Buffer.from(await root.revoke("0b")));
  {
    using refused = await handshake(held(otherId, theirs), held(ownId, ours, revocations));
    assert.match(outcomeOf(refused.server), /the certificate 0B of ".*" is revoked by "O=test root"/);
  }
  {
    using refused = await handshake(held(ownId, ours, revocations), held(otherId, theirs));
    assert.match(outcomeOf(refused.client), /is revoked by "O=test root"/);
  }
  using other = await handshake(held(ownId, ours), held(ownId, ours, revocations));
  assert.equal(outcomeOf(other.server), "let in");
  assert.deepEqual(counted, ["client", "server"]);
});

test("a revoked intermediate authority invalidates its leaves", async () => {
  const revocations = new RevocationLists();
  for (const [serialNumbers, fault] of [
    [["0d"], /the certificate 0D of "O=test authority 0d" is revoked/],
    [[], undefined],
  ] as const) {
    revocations.replace(Buffer.from(await root.revoke(...serialNumbers)));
    for (const asServer of [true, false]) {
      const [own, other] = [held(ownId, ours, revocations), held(otherId, below)];
      using made = asServer ? await handshake(other, own) : await handshake(own, other);
      const mine = asServer ? made.server : made.client;
      if (fault === undefined) assert.equal(outcomeOf(mine), "let in");
      else assert.match(outcomeOf(mine), fault);
    }
  }
});

const blocksOf = (text: string): readonly string[] =>
  text.split(/(?<=-----END CERTIFICATE-----)\s*/).filter((block) => block !== "");

test("a revoked peer gains nothing by other certificates between its own and its authority's", async () => {
  const revocations = new RevocationLists();
  revocations.replace(Buffer.from((await root.revoke()) + (await intermediate.revoke("0c"))));
  const [leaf = "", authority = ""] = blocksOf(below.certificateChain);
  const chains = [
    [leaf, authority],
    [leaf, leaf, authority],
    [leaf, blocksOf(theirs.certificateChain)[0] ?? "", authority],
    [leaf, authority, await intermediate.selfSigned()],
  ];
  for (const chain of chains) {
    const disguised = held(otherId, { ...below, certificateChain: chain.join("\n") });
    using asClient = await handshake(disguised, held(ownId, ours, revocations));
    assert.match(outcomeOf(asClient.server), /the certificate 0C of ".*" is revoked/);
    using asServer = await handshake(held(ownId, ours, revocations), disguised);
    assert.match(outcomeOf(asServer.client), /the certificate 0C of ".*" is revoked/);
  }
});

test("a revoked authority gains nothing by a long chain, or by a copy of itself that it signed", async () => {
  const revocations = new RevocationLists();
  revocations.replace(Buffer.from(await root.revoke("0d")));
  let lowest = intermediate;
  const authorities = [blocksOf(below.certificateChain)[1] ?? ""];
  for (const [depth, expected] of [
    [1, /the certificate 0D of "O=test authority 0d" is revoked/],
    [12, /the certificate 0D of "O=test authority 0d" is revoked/],
    [20, /cannot be checked for revocation: the issuers of its chain are not known/],
  ] as const) {
    while (authorities.length < depth) {
      lowest = await lowest.subordinate((0x20 + authorities.length).toString(16));
      authorities.unshift(blocksOf((await lowest.issue({ spiffe: otherId })).certificateChain)[1] ?? "");
    }
    const issued = await lowest.issue({ spiffe: otherId });
    const chain = [blocksOf(issued.certificateChain)[0] ?? "", ...authorities, await lowest.selfSigned()];
    const disguised = held(otherId, { ...issued, certificateChain: chain.join("\n") });
    using refused = await handshake(disguised, held(ownId, ours, revocations));
    assert.match(outcomeOf(refused.server), expected);
  }
});

test("lists without an authority's entries do not affect its certificates, and neither does an empty file", async () => {
  const other = await TestAuthority.create();
  const revocations = new RevocationLists();
  for (const text of ["", await intermediate.revoke("0b")]) {
    revocations.replace(Buffer.from(text));
    using made = await handshake(held(otherId, theirs), held(ownId, ours, revocations));
    assert.equal(outcomeOf(made.server), "let in");
  }
  // A list of an issuer with the same name and another key has no effect, neither alone nor beside the true list.
  revocations.replace(Buffer.from(await other.revoke()));
  {
    using made = await handshake(held(otherId, theirs), held(ownId, ours, revocations));
    assert.match(outcomeOf(made.server), /is not signed by the issuer of the certificate/);
  }
  revocations.replace(Buffer.from((await other.revoke("0b")) + (await root.revoke("0f"))));
  using made = await handshake(held(otherId, theirs), held(ownId, ours, revocations));
  assert.equal(outcomeOf(made.server), "let in");
});

test("a list in DER is used, and a text that cannot be read changes nothing", async () => {
  const revocations = new RevocationLists();
  const pem = await root.revoke("0b");
  revocations.replace(Buffer.from(pem.replaceAll(/-----.*-----/g, ""), "base64"));
  assert.throws(() => revocations.replace(Buffer.from("no list")), /there is no X509 CRL in PEM or DER/);
  using made = await handshake(held(otherId, theirs), held(ownId, ours, revocations));
  assert.match(outcomeOf(made.server), /is revoked/);
});

test("open connections end at either end when a list names their peer, and others stay", async () => {
  const counted: string[] = [];
  const revocations = new RevocationLists((peer) => counted.push(peer));
  using asServer = await handshake(held(otherId, theirs), held(ownId, ours, revocations));
  using asClient = await handshake(held(ownId, ours, revocations), held(otherId, below));
  using bystander = await handshake(held(ownId, ours), held(ownId, ours, revocations));
  const ends = [closed(asServer.server), closed(asClient.client)];
  let alive = true;
  void closed(bystander.server).then(() => (alive = false));
  assert.equal(revocations.watched, 3);
  revocations.replace(Buffer.from((await root.revoke("0b")) + (await intermediate.revoke("0c"))));
  for (const reason of await Promise.all(ends)) assert.match(reason, /is revoked by/);
  assert.deepEqual([alive, counted.toSorted()], [true, ["client", "server"]]);
  bystander[Symbol.dispose]();
  await until(() => revocations.watched === 0);
});

test("the manager's certificates check the lists, even after another root is trusted", async () => {
  const revocations = new RevocationLists();
  const authority = new FakeCertificateAuthority();
  const manager = new CertificateManager({ authority, log: silentLogger, revocations });
  const client = {
    ...workloadCertificate(
      otherId,
      theirs.privateKey,
      [theirs.certificateChain, theirs.roots],
      [{ pem: authority.rootPem }],
    ),
    receivedAtMs: 0,
  };
  try {
    await manager.fetch(ownId);
    manager.trustBesides([{ pem: root.roots }]);
    using admitted = await handshake(client, await manager.fetch(ownId));
    assert.equal(outcomeOf(admitted.server), "let in");
    revocations.replace(Buffer.from(await root.revoke("0b")));
    using refused = await handshake(client, await manager.fetch(ownId));
    assert.match(outcomeOf(refused.server), /is revoked/);
  } finally {
    manager.close();
  }
});

test("the file is read at the start and on each change; after a fault the previous lists stay, and the fault is logged once", async () => {
  const texts: (string | undefined)[] = [undefined, "one", "one", "bad", "bad", undefined, "two"];
  const [taken, lines]: [string[], string[]] = [[], []];
  const stop = new AbortController();
  const clock: Clock = { ...systemClock, sleep: async () => (texts.length === 0 ? stop.abort() : undefined) };
  const log = {
    ...silentLogger,
    warn: (message: string, fields?: object) => lines.push(`${message} ${JSON.stringify(fields)}`),
    info: (message: string) => lines.push(message),
  };
  const readFile = async (): Promise<Buffer> => {
    const text = texts.shift();
    if (text === undefined) throw Object.assign(new Error("there is no such file"), { code: "ENOENT" });
    return Buffer.from(text);
  };
  const replace = (bytes: Buffer): void => {
    if (bytes.toString() === "bad") throw new Error("is no list");
    taken.push(bytes.toString());
  };
  let reads = 0;
  await followRevocations(
    { path: "/crl.pem", readFile, revocations: { replace }, clock, log },
    stop.signal,
    () => (reads += 1),
  );
  assert.deepEqual([taken, reads], [["one", "two"], 7]);
  assert.deepEqual(
    lines.map((line) => /no such file|is no list|have changed/.exec(line)?.[0]),
    ["no such file", "is no list", "no such file", "have changed"],
  );
});

test("admitted connections that have ended are collected before they reach the old space", () => {
  const guard = new RevocationLists().guard(ours.roots);
  const certificate = new X509Certificate(ours.certificateChain);
  const open: Disposable[] = [];
  const admit = (): void => {
    const held = Array.from({ length: 500 }, (_, index) => index);
    open.push(guard.admitted(certificate, "client", () => void held.length));
    if (open.length > 16) open.shift()?.[Symbol.dispose]();
  };
  for (let count = 0; count < 100; count += 1) admit();
  // Objects that survive a full collection move to the old space.
  collectGarbage("all");
  const before = oldBytes();
  for (let count = 1; count <= 4000; count += 1) {
    admit();
    if (count % 200 === 0) collectGarbage("minor");
  }
  // The connections take 16 MB.
  assert.ok(oldBytes() - before < 4_000_000, `${oldBytes() - before} bytes became old`);
});
