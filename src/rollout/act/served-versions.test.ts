import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOfStatus, type KubeClient } from "../../kube/index.ts";
import type { KindDefinition, UntypedObject } from "../../api/index.ts";
import { ObjectAccess } from "./object-access.ts";

const route = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  plural: "virtualservices",
  name: "web",
  namespace: "shop",
};

/** A server with one VirtualService, served in the versions of `served`. */
function cluster() {
  const state = { served: ["v1"], spec: { http: [1] } as unknown, isUp: true, requests: 0 };
  const answer = (status: number, body: object) => ({ status, text: JSON.stringify(body), headers: {} });
  const raw = async (method: string, path: string, options: { body?: unknown } = {}) => {
    state.requests += 1;
    if (!state.isUp) return await Promise.resolve(answer(503, {}));
    const [, , group, version = "", ...rest] = path.split("?")[0]?.split("/") ?? [];
    if (group !== "networking.istio.io") return answer(404, {});
    if (version === "")
      return answer(200, { versions: state.served.map((name) => ({ groupVersion: `${group}/${name}` })) });
    if (!state.served.includes(version)) return answer(404, {});
    if (rest.length === 0) return answer(200, { resources: [{ name: "virtualservices" }] });
    const operations = options.body as readonly { readonly op: string; readonly value: unknown }[];
    if (method === "PATCH") state.spec = { http: operations.find(({ op }) => op === "add")?.value };
    return answer(200, { metadata: { name: "web" }, spec: state.spec });
  };
  const get = async ({ versions: [version] }: KindDefinition): Promise<UntypedObject | undefined> => {
    if (!state.isUp) throw errorOfStatus({ verb: "get", object: "it" }, 503, "");
    if (!state.served.includes(version) || state.spec === undefined) return await Promise.resolve(undefined);
    return { apiVersion: `networking.istio.io/${version}`, metadata: { name: "web" }, spec: state.spec };
  };
  return { state, objects: new ObjectAccess({ get, raw } as unknown as KubeClient) };
}

test("an object is read and changed in another version if its definition no longer serves the former one", async () => {
  const { state, objects } = cluster();
  assert.equal((await objects.get(route))?.apiVersion, "networking.istio.io/v1");
  state.served = ["v1beta1"];
  assert.equal((await objects.get(route))?.apiVersion, "networking.istio.io/v1beta1");
  await objects.setField(route, "/spec/http", [2], [1]);
  assert.deepEqual(state.spec, { http: [2] });
  state.served = ["v1"];
  assert.equal((await objects.get(route))?.apiVersion, "networking.istio.io/v1");
});

test("an object that is gone is missing, also with its definition, but an unreachable server says nothing", async () => {
  const { state, objects } = cluster();
  state.spec = undefined;
  assert.equal(await objects.get(route), undefined);
  state.served = [];
  assert.equal(await objects.get(route), undefined);
  state.isUp = false;
  await assert.rejects(objects.get(route));
  const before = state.requests;
  state.isUp = true;
  const pod = { apiVersion: "v1", kind: "Pod", plural: "pods", name: "a", namespace: "n" };
  assert.equal(await objects.get(pod), undefined);
  assert.equal(state.requests, before, "a built-in kind needs no discovery");
});
