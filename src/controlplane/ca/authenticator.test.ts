import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, transientError } from "../../base/index.ts";
import type { RawOptions } from "../../kube/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { Authenticator } from "./authenticator.ts";

class RecordingClient extends FakeKubeClient {
  readonly asked: unknown[] = [];
  isAway = false;

  override async raw(method: string, path: string, options?: RawOptions): ReturnType<FakeKubeClient["raw"]> {
    this.asked.push((options?.body as { spec?: { audiences: string[] } } | undefined)?.spec?.audiences);
    if (this.isAway) throw transientError("unreachable", "connection refused");
    return await super.raw(method, path, options);
  }
}

const [own, west] = [new RecordingClient(), new RecordingClient()];
const account = "system:serviceaccount:shop:web";
own.tokens.set("own", { username: account, pod: "web-1", podUid: "uid-1" });
west.tokens.set("west", { username: account, pod: "web-9", podUid: "uid-9" });
own.tokens.set("human", { username: "alice", pod: "" });
const clients = new Map([["east", own], ["west", west]]);
const make = (audiences: readonly string[] = ["istio-ca"]): Authenticator =>
  new Authenticator({ clientOf: (id) => clients.get(id), clusterIds: () => [...clients.keys()], clusterId: "east", audiences, trustDomain: () => "cluster.local", clock: systemClock });
const credentials = (token: string | undefined, clusterId = "", subjectAltName?: string) => ({ authorization: token === undefined ? undefined : `Bearer ${token}`, clusterId, subjectAltName });

test("a token is reviewed by the API server of the cluster that the caller names, for the audiences that are set", async () => {
  const authenticator = make(["istio-ca", "mesh"]);
  assert.deepEqual(await authenticator.authenticate(credentials("own")), { namespace: "shop", serviceAccount: "web", pod: "web-1", podUid: "uid-1", clusterId: "east" });
  assert.deepEqual(own.asked.at(-1), ["istio-ca", "mesh"]);
  assert.deepEqual(await authenticator.authenticate(credentials("west", "west")), { namespace: "shop", serviceAccount: "web", pod: "web-9", podUid: "uid-9", clusterId: "west" });
  await assert.rejects(authenticator.authenticate(credentials("west", "east")), /token is not valid/);
  await assert.rejects(authenticator.authenticate(credentials("own", "north")), /of the cluster "north", which is not known here/);
});

test("a token for another audience, or for none that the API server names, is refused", async () => {
  own.tokens.set("for another", { username: account, pod: "web-1", audiences: ["vault"] });
  own.tokens.set("for nobody", { username: account, pod: "web-1", audiences: [] });
  own.tokens.set("for several", { username: account, pod: "web-1", audiences: ["vault", "istio-ca"] });
  await assert.rejects(make().authenticate(credentials("for another")), /not valid: it is for vault/);
  await assert.rejects(make().authenticate(credentials("for nobody")), /not valid: it is for no audience/);
  assert.equal((await make().authenticate(credentials("for several"))).serviceAccount, "web");
});

test("a person's token and no credentials at all are refused", async () => {
  await assert.rejects(make().authenticate(credentials("human")), /alice is no service account/);
  await assert.rejects(make().authenticate(credentials(undefined)), /neither a token nor a client certificate/);
  await assert.rejects(make().authenticate(credentials(undefined, "", "URI:spiffe://elsewhere/ns/shop/sa/web")), /neither a token/);
});

test("a certificate of the mesh is enough to renew by, also while the token is no more or the API server is away", async () => {
  const name = "URI:spiffe://cluster.local/ns/shop/sa/web";
  const caller = { namespace: "shop", serviceAccount: "web", pod: "", podUid: "", clusterId: "east" };
  assert.deepEqual(await make().authenticate(credentials(undefined, "", name)), caller);
  assert.deepEqual(await make().authenticate(credentials("expired", "", name)), caller);
  own.isAway = true;
  assert.deepEqual(await make().authenticate(credentials("own", "", name)), caller);
  await assert.rejects(make().authenticate(credentials("own")), /could not be checked/);
  own.isAway = false;
});
