import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary, type Canary, type JournalEntry, type MeantRule } from "../../../api/serin/index.ts";
import { meantRule, movedRoutes } from "../../plan/canary/route-target.ts";
import type { CanarySources } from "./canary-sources.ts";
import { routeInWorld } from "./route-in-world.ts";

const to = (subset: string) => ({ destination: { host: "web", subset } });
const [stable, canary] = [
  { host: "web", subset: "v1" },
  { host: "web", subset: "v2" },
];

/** Why the target's route cannot be moved in a cluster with this VirtualService. */
async function refusal(spec: object | undefined, target: object, meantRule?: MeantRule): Promise<string> {
  const virtualService = { name: "web", stable, canary, ...target };
  const { value, errors } = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { virtualService }, steps: [{ weight: 100 }] },
  });
  assert.deepEqual(errors, []);
  const [route = assert.fail()] = movedRoutes({
    ...(value as Canary),
    ...(meantRule === undefined ? {} : { status: { meantRule } }),
  });
  const found = spec === undefined ? undefined : { metadata: { name: "web" }, spec };
  const sources = { objects: { get: async () => await Promise.resolve(found) } } as unknown as CanarySources;
  return await routeInWorld(sources, route, []).then(
    () => "accepted",
    (error: unknown) => (error as Error).message,
  );
}

const where = "spec.target.virtualService: VirtualService shop/web";

test("a position in quotes is no name, and the refusal says how to write it", async () => {
  const spec = { http: [{ route: [to("v1")] }] };
  assert.equal(await refusal(spec, { route: 0 }), "accepted");
  assert.equal(
    await refusal(spec, { route: "0" }),
    `${where} has no route named "0"; a position is a number without quotes: write 0, not "0"`,
  );
});

test("a route that does not exist is refused with the names and positions of those that do", async () => {
  const spec = { http: [{ name: "health", route: [to("v1")] }, { route: [to("v1")] }] };
  assert.equal(
    await refusal(spec, { route: "helth" }),
    `${where} has no route named "helth"; name it by its name, "health", or by its position, 0 to 1`,
  );
  const many = Array.from({ length: 900 }, (_, index) => ({ name: `r-${index}`, route: [to("v1")] }));
  assert.equal(
    await refusal({ http: many }, { route: "r" }),
    `${where} has no route named "r"; name it by its name, "r-0", "r-1", "r-2", "r-3", "r-4" and 895 more, or by its position, 0 to 899`,
  );
  assert.equal(
    await refusal({ http: [{ route: [to("v1")] }] }, { route: 3 }),
    `${where} has no route 3; name it by its position, 0`,
  );
});

test("a VirtualService of connections is refused with the protocol to set", async () => {
  assert.equal(
    await refusal({ tcp: [{ route: [to("v1")] }] }, {}),
    `${where} has no http; set protocol: tcp, or name another`,
  );
  assert.equal(await refusal({}, {}), `${where} has no http; add it first, or name another`);
  assert.equal(await refusal(undefined, {}), `${where} does not exist; create it first, or name another`);
});

test("a refused rule is named by its position in the target and by the one that it has now", async () => {
  const [moved, added] = [{ match: [{ uri: { prefix: "/shop" } }] }, { match: [{ uri: { prefix: "/added" } }] }];
  const { value } = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { virtualService: { name: "web", stable, canary } }, steps: [{ weight: 100 }] },
  });
  const [{ object, pointer } = assert.fail()] = movedRoutes(value as Canary);
  const meant = meantRule(value as Canary, { routes: [{ object, pointer, list: [moved] }] });
  assert.equal(
    await refusal({ http: [added, { ...moved, route: [to("v3")] }] }, {}, meant),
    "spec.target.virtualService.stable: route 0 (now at position 1) of VirtualService shop/web does not send to web subset v1; name one of its backends: web subset v3",
  );
});

test("a position counts without the rules that other rollouts have added, until the engine knows which rule it means", async () => {
  const rule = (uri: string) => ({ match: [{ uri: { prefix: uri } }], route: [to("v1")] });
  const [health, shop] = [rule("/health"), rule("/shop")];
  const ofMatch = { match: [{ uri: { prefix: "/health" }, headers: { test: { exact: "yes" } } }], route: [to("v2")] };
  const theirs = rule("/theirs");
  const { value } = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { virtualService: { name: "web", stable, canary, route: 1 } }, steps: [{ weight: 100 }] },
  });
  const [route = assert.fail()] = movedRoutes(value as Canary);
  const { object, pointer } = route;
  const written: JournalEntry = {
    type: "field",
    step: "step-1",
    object,
    pointer,
    prior: [health, shop],
    written: [ofMatch, health, shop],
  };
  const live = [theirs, ofMatch, health, shop];
  let asked = 0;
  const sources = {
    objects: { get: async () => await Promise.resolve({ metadata: { name: "web" }, spec: { http: live } }) },
    others: async () => {
      asked += 1;
      return await Promise.resolve([[written]]);
    },
  } as unknown as CanarySources;
  const world = await routeInWorld(sources, route, []);
  assert.deepEqual(world.list, [theirs, health, shop], "what a person has added counts");
  const meant = meantRule(value as Canary, { routes: [world] });
  assert.equal(meant?.index, 1);
  const [known = assert.fail()] = movedRoutes({ ...(value as Canary), status: { meantRule: meant } });
  assert.deepEqual((await routeInWorld(sources, known, [])).list, live);
  assert.equal(asked, 1);
});
