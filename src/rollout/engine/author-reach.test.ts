import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { Contender, Step } from "../decide/index.ts";
import { companionsOf, withinReach } from "./author-reach.ts";
import type { Rollout } from "./rollout-object.ts";

function canary(namespace: string, name: string, group?: string): Rollout {
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name, namespace },
    spec: group === undefined ? {} : { group },
  } as unknown as Rollout;
}

/** The author of each namespace's rollouts may create rollouts in these namespaces. */
function rightsOf(allowed: Readonly<Record<string, readonly string[]>>) {
  const asked: string[] = [];
  const mayCreate = async ({ metadata }: UntypedObject, kind: string, namespace = "") => {
    asked.push(`${metadata.namespace} ${kind} ${namespace}`);
    return await Promise.resolve(allowed[metadata.namespace ?? ""]?.includes(namespace) === true);
  };
  return { asked, rights: { mayCreate } };
}

function tableOf(...rollouts: readonly Rollout[]) {
  const all = rollouts.map(({ metadata: { namespace = "", name = "" }, spec }) => ({
    key: `Canary ${namespace}/${name}`,
    kind: "Canary",
    namespace,
    name,
    createdAtMs: 0,
    ...(spec as { group?: string }),
  })) as unknown as readonly Contender[];
  const watched = (_kind: string, key: string) =>
    rollouts.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key);
  return { all, watched };
}

test("a rollout of another namespace belongs to a group only if both authors may create rollouts at each other's place", async () => {
  const own = canary("shop", "web", "g");
  const table = tableOf(own, canary("attacker", "x", "g"), canary("team", "api", "g"), canary("team", "other", "h"));
  const companions = async (allowed: Readonly<Record<string, readonly string[]>>): Promise<readonly string[]> => [
    ...((await companionsOf(own, { rights: rightsOf(allowed).rights, ...table })) ?? ["all"]),
  ];
  assert.deepEqual(await companions({ shop: ["attacker", "team"], team: ["shop"] }), ["Canary team/api"]);
  assert.deepEqual(await companions({ attacker: ["shop"], team: ["shop"] }), [], "the name of a group is no consent");
  assert.deepEqual([...((await companionsOf(own, { rights: undefined, ...table })) ?? ["all"])], ["all"]);
});

test("thousands of rollouts that name a group of others cost its members few reviews", async () => {
  const own = canary("shop", "web", "g");
  const table = tableOf(own, ...Array.from({ length: 2_000 }, (_, index) => canary("attacker", `x${index}`, "g")));
  const { rights, asked } = rightsOf({ attacker: ["attacker"] });
  assert.equal((await companionsOf(own, { rights, ...table }))?.size, 0);
  assert.deepEqual(asked, ["shop Canary attacker"]);
  const administrator = rightsOf({ shop: ["attacker"] });
  assert.equal((await companionsOf(own, { rights: administrator.rights, ...table }))?.size, 0);
  assert.equal(administrator.asked.length, 1 + 32, "not one for each of them, if its author may do everything");
});

test("a Canary reserves a namespace that it only reads only if its author may create Canaries there", async () => {
  const write = { type: "field", object: { namespace: "routes" } };
  const steps = [
    { id: "1", writes: [write], namespaces: ["read", "routes", "shop"] },
    { id: "2", writes: [] },
  ] as unknown as readonly Step[];
  const reserved = async (allowed: readonly string[]): Promise<readonly (readonly string[] | undefined)[]> =>
    (await withinReach(canary("shop", "web"), steps, { rights: rightsOf({ shop: allowed }).rights })).map(
      ({ namespaces }) => namespaces,
    );
  assert.deepEqual(await reserved([]), [["routes", "shop"], undefined]);
  assert.deepEqual(await reserved(["read"]), [["read", "routes", "shop"], undefined]);
});
