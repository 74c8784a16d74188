import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { TestAuthority, type Issued } from "../../net/testing/index.ts";
import { RevocationLists } from "./revocation-lists.ts";
import type { TrustedRoot } from "./root-restrictions.ts";
import { handshake } from "./testing/handshake.ts";
import { certificateParts, restoreCertificate, trusting, workloadCertificate } from "./workload-certificate.ts";
import type { WorkloadCertificate } from "./certificate-types.ts";

const ownId = "spiffe://cluster.local/ns/a/sa/us";
const [mesh, foreign] = [await TestAuthority.create("mesh"), await TestAuthority.create("foreign")];
const below = await foreign.subordinate("0d");
const ours = await mesh.issue({ spiffe: ownId });
const revocations = new RevocationLists();

function held(identity: string, issued: Issued, besides: readonly TrustedRoot[]): WorkloadCertificate {
  const made = workloadCertificate(identity, issued.privateKey, [issued.certificateChain, mesh.roots], besides, {
    revocations,
  });
  return { ...made, receivedAtMs: 0 };
}

/** Returns why each side refuses the other. The text is empty if it accepts. */
async function refusals(client: WorkloadCertificate, server: WorkloadCertificate) {
  using made = await handshake(client, server);
  const [byClient = "", byServer = ""] = [made.client, made.server].map((end) => (typeof end === "string" ? end : ""));
  return { byClient, byServer };
}

const besides: readonly TrustedRoot[] = [{ pem: foreign.roots, trustDomains: ["foreign.example"] }];
const own = held(ownId, ours, besides);

for (const [authority, title] of [
  [foreign, "a root"],
  [below, "an authority below a root"],
] as const) {
  test(`${title} of a foreign trust domain signs for that domain, and not for the mesh's`, async () => {
    const friend = "spiffe://foreign.example/ns/a/sa/friend";
    const [true_, forged] = [await authority.issue({ spiffe: friend }), await authority.issue({ spiffe: ownId })];
    for (const asServer of [false, true]) {
      const meet = async (peer: WorkloadCertificate): Promise<string> => {
        const { byClient, byServer } = await (asServer ? refusals(peer, own) : refusals(own, peer));
        return asServer ? byServer : byClient;
      };
      assert.equal(await meet(held(friend, true_, besides)), "");
      assert.match(
        await meet(held(ownId, forged, besides)),
        /the peer is spiffe:\/\/cluster\.local\/ns\/a\/sa\/us, but the root "O=foreign" may only sign for foreign\.example/,
      );
    }
  });
}

test("the mesh's own root signs for every trust domain, also if an entry names it for another one", async () => {
  const other = "spiffe://foreign.example/ns/a/sa/friend";
  const named = held(ownId, ours, [...besides, { pem: mesh.roots, trustDomains: ["foreign.example"] }]);
  const peer = held(other, await mesh.issue({ spiffe: other }), besides);
  assert.deepEqual(await refusals(peer, named), { byClient: "", byServer: "" });
  assert.deepEqual(await refusals(own, named), { byClient: "", byServer: "" });
});

test("a certificate of a restricted root has exactly one URI, and no other name that looks like one", async () => {
  const friend = "spiffe://foreign.example/ns/a/sa/friend";
  const guard = own.context.guard;
  for (const [names, isRefused] of [
    [{ spiffe: friend }, false],
    [{ spiffe: friend, dns: "friend.example" }, false],
    [{ spiffe: friend, dns: ownId }, true],
    [{ dns: "friend.example" }, true],
    [{ spiffe: "spiffe://foreign.example.evil/ns/a/sa/friend" }, true],
    [{ spiffe: "spiffe://foreign.example" }, true],
    [{ spiffes: [friend, ownId] }, true],
    [{ spiffes: [friend, "https://friend.example"] }, true],
  ] as const) {
    const leaf = new X509Certificate((await foreign.issue(names)).certificateChain);
    assert.equal(guard?.refuse(leaf, "client") !== undefined, isRefused, JSON.stringify(names));
  }
});

test("only URIs prove something in certificates of a restricted root, and all names in those of the mesh's root", async () => {
  const { guard } = own.context;
  const stranger = await TestAuthority.create();
  for (const [authority, expected] of [
    [foreign, true],
    [below, true],
    [stranger, true],
    [mesh, false],
  ] as const) {
    const issued = await authority.issue({ spiffe: "spiffe://foreign.example/ns/a/sa/friend", dns: "friend.example" });
    assert.equal(guard?.provesOnlyUris?.(new X509Certificate(issued.certificateChain)), expected);
  }
});

test("a certificate that cannot be traced to a trusted root is refused while a root is restricted", async () => {
  const stranger = new X509Certificate(
    (await (await TestAuthority.create()).issue({ spiffe: ownId })).certificateChain,
  );
  assert.match(own.context.guard?.refuse(stranger, "client") ?? "", /the root of the peer's certificate is not known/);
});

test("a restricted root's revoked certificates are refused too", async () => {
  const friend = "spiffe://foreign.example/ns/a/sa/friend";
  const leaf = new X509Certificate((await foreign.issue({ spiffe: friend, serialNumber: "0e" })).certificateChain);
  assert.equal(own.context.guard?.refuse(leaf, "client"), undefined);
  revocations.replace(Buffer.from(await foreign.revoke("0e")));
  try {
    assert.match(own.context.guard?.refuse(leaf, "client") ?? "", /is revoked by "O=foreign"/);
  } finally {
    revocations.replace(Buffer.alloc(0));
  }
});

test("restrictions reach other threads, and a change of the domains alone makes a new certificate", async () => {
  const forged = new X509Certificate((await foreign.issue({ spiffe: ownId })).certificateChain);
  const received = restoreCertificate(structuredClone(certificateParts(own)));
  assert.match(received.context.guard?.refuse(forged, "client") ?? "", /may only sign for foreign\.example/);
  assert.equal(trusting(own, besides), own);
  const changed = trusting(own, [{ pem: foreign.roots, trustDomains: ["third.example"] }]);
  assert.match(changed.context.guard?.refuse(forged, "client") ?? "", /may only sign for third\.example/);
  assert.equal(trusting(changed, [{ pem: foreign.roots }]).context.guard, undefined);
});
