import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../../../base/index.ts";
import { parseCanary, type Canary, type MeantRule } from "../../../api/serin/index.ts";
import { planCanary } from "./canary-plan.ts";
import { meantRule, movedRoutes, ruleIndex } from "./route-target.ts";

const rule = (path: string, name?: string): Tree => ({
  ...(name === undefined ? {} : { name }),
  matches: [{ path: { type: "PathPrefix", value: path } }],
  backendRefs: [{ name: "web", port: 80 }],
});
const [shop, cart, added] = [rule("/shop"), rule("/cart"), rule("/added")];
const [stable, next] = [
  { name: "web", port: 80 },
  { name: "next", port: 80 },
];

function canary(httpRoute: object, meant?: MeantRule): Canary {
  const { value, errors } = parseCanary({
    metadata: { name: "c", namespace: "shop" },
    spec: { target: { httpRoute: { name: "web", stable, canary: next, ...httpRoute } }, steps: [{ weight: 50 }] },
  });
  assert.deepEqual(errors, []);
  return { ...value, ...(meant === undefined ? {} : { status: { meantRule: meant } }) } as unknown as Canary;
}

const worldOf = (of: Canary, list: readonly Tree[]) => {
  const [{ object, pointer } = assert.fail()] = movedRoutes(of);
  return { routes: [{ object, pointer, list }], subjects: [], missingGrants: [] };
};

const meantOf = (list: readonly Tree[]): MeantRule => {
  const first = canary({ rule: 1 });
  return meantRule(first, worldOf(first, list)) ?? assert.fail();
};

function found(httpRoute: object, list: readonly Tree[], meant?: MeantRule): number | string | undefined {
  const [route = assert.fail()] = movedRoutes(canary(httpRoute, meant));
  try {
    return ruleIndex(route, list);
  } catch (error) {
    return (error as Error).message;
  }
}

const place = "spec.target.httpRoute: position 1 of HTTPRoute shop/web";

test("a position still means the rule from the first plan after somebody inserted or removed rules before it", () => {
  const meant = meantOf([shop, cart]);
  assert.equal(found({ rule: 1 }, [added, shop, cart], meant), 2);
  assert.equal(found({ rule: 1 }, [cart], meant), 0);
  assert.equal(found({ rule: 1 }, [shop, cart, added], meant), 1);
  const moved = canary({ rule: 1 }, meant);
  const [step] = planCanary(moved, worldOf(moved, [added, shop, cart]));
  const [write] = step?.writes ?? [];
  const rules = (write as { readonly value?: readonly Tree[] } | undefined)?.value ?? [];
  assert.deepEqual(
    rules.map(({ backendRefs }) => (backendRefs as readonly Tree[]).length),
    [1, 1, 2],
    "only the rule that was meant is divided",
  );
});

test("the record follows the rule, so that later changes of the list are compared with the latest list", () => {
  const now = canary({ rule: 1 }, meantOf([shop, cart]));
  const later = meantRule(now, worldOf(now, [added, shop, cart]));
  const edited = rule("/basket");
  assert.equal(found({ rule: 1 }, [added, shop, edited], later), 2, "somebody has changed what the rule matches");
  assert.equal(found({ rule: 1 }, [rule("/more"), added, shop, cart], later), 3);
});

test("a rule with a name is known by it, whatever it matches now", () => {
  const meant = meantOf([shop, rule("/cart", "cart")]);
  assert.equal(found({ rule: 1 }, [added, rule("/cart"), rule("/basket", "cart")], meant), 2);
  assert.equal(found({ rule: 1 }, [added, shop, rule("/cart", "renamed")], meantOf([shop, cart])), 2);
});

test("a position is refused if the rule that it meant has gone, or if several look like it", () => {
  const meant = meantOf([shop, cart, added]);
  const advice =
    "give the rule that you mean a name, and write the name instead of the position, or create the Canary again";
  assert.equal(
    found({ rule: 1 }, [shop, added], meant),
    `${place} is not the rule that it was, which is gone; ${advice}`,
  );
  assert.equal(
    found({ rule: 1 }, [cart, shop, cart], meant),
    `${place} is not the rule that it was, and several rules look like that one; ${advice}`,
  );
  const other = { ...cart, backendRefs: [{ name: "other", port: 80 }] };
  assert.equal(found({ rule: 1 }, [other, shop, cart], meant), 2, "only one of them sends to the stable backend");
  assert.equal(found({ rule: 1 }, [shop, cart, cart], meantOf([shop, cart, cart])), 1, "nothing has changed");
});

test("a position in another target is refused if it means another rule than in the target before", () => {
  const meant = meantOf([shop, rule("/cart", "cart")]);
  const swapped = { rule: 1, stable: next, canary: stable };
  const list = [shop, rule("/cart", "cart")];
  assert.equal(found(swapped, list, meant), 1);
  assert.equal(
    found(swapped, [added, ...list], meant),
    `${place} is not the rule that it was when this Canary had another target: that one is at position 2 now; write 2 if you mean that one, or write the name of the rule that you mean instead of the position: "cart"`,
  );
  assert.equal(
    found({ ...swapped, rule: 2 }, [added, ...list], meant),
    2,
    "whoever writes another position counts anew",
  );
  assert.equal(found({ ...swapped, name: "other" }, [added, ...list], meant), 1, "another route");
});

test("a rule of an HTTPRoute is named by its name, which must be the only one", () => {
  const list = [shop, rule("/cart", "cart")];
  assert.equal(found({ rule: "cart" }, list), 1);
  assert.equal(found({ rule: "cart" }, [added, ...list]), 2);
  assert.equal(found({ rule: "basket" }, list), undefined);
  assert.equal(
    found({ rule: "cart" }, [...list, rule("/basket", "cart")]),
    'spec.target.httpRoute: HTTPRoute shop/web has 2 rules with the name "cart"; give each rule a name of its own',
  );
});

test("a position in a VirtualService is known again by what its route matches", () => {
  const route = (prefix: string): Tree => ({
    match: [{ uri: { prefix } }],
    route: [{ destination: { host: "web" } }],
  });
  const { value } = parseCanary({
    metadata: { name: "c", namespace: "shop" },
    spec: {
      target: { virtualService: { name: "web", route: 1, stable: { host: "web" }, canary: { host: "next" } } },
      steps: [{ weight: 50 }],
    },
  });
  const first = value as unknown as Canary;
  const meant = meantRule(first, worldOf(first, [route("/shop"), route("/cart")])) ?? assert.fail();
  const [now = assert.fail()] = movedRoutes({ ...first, status: { meantRule: meant } });
  assert.equal(ruleIndex(now, [route("/added"), route("/shop"), route("/cart")]), 2);
});

test("of a long list, the record has only the rules around the one that is meant", () => {
  const many = Array.from({ length: 900 }, (_, index) => rule(`/${index}`));
  const meant = meantRule(canary({ rule: 1 }), worldOf(canary({ rule: 1 }), many));
  assert.equal(meant?.known.length, 18);
  assert.equal(found({ rule: 1 }, [added, ...many], meant), 2);
  assert.equal(found({ rule: 1 }, [...many, added], meant), 1);
});

test("the advice names only what helps: no name for connections, the first names of a long list, a new one for the rest", () => {
  const tcp = (port: number): Tree => ({ match: [{ port }], route: [{ destination: { host: "web" } }] });
  const { value } = parseCanary({
    metadata: { name: "c", namespace: "shop" },
    spec: {
      target: {
        virtualService: { name: "web", protocol: "tcp", route: 1, stable: { host: "web" }, canary: { host: "next" } },
      },
      steps: [{ weight: 50 }],
    },
  });
  const first = value as unknown as Canary;
  const meant = meantRule(first, worldOf(first, [tcp(1), tcp(2)])) ?? assert.fail();
  const [now = assert.fail()] = movedRoutes({ ...first, status: { meantRule: meant } });
  assert.throws(() => ruleIndex(now, [tcp(1)]), {
    message:
      "spec.target.virtualService: position 1 of VirtualService shop/web is not the rule that it was, which is gone; tcp routes have no names: create the Canary again with the position that the rule has now",
  });
  const named = Array.from({ length: 900 }, (_, index) => rule(`/${index}`, `rule-${index}`));
  assert.equal(
    found({ rule: 1 }, named, meantOf([shop, rule("/cart", "cart")])),
    `${place} is not the rule that it was, which is gone; write the name of the rule that you mean instead of the position: "rule-0", "rule-1", "rule-2", "rule-3", "rule-4" and 895 more`,
  );
  assert.equal(
    found({ rule: 1 }, named, meantOf([shop, cart])),
    `${place} is not the rule that it was, which is gone; give the rule that you mean a name, and write the name instead of the position, or create the Canary again`,
  );
});

test("a plan reads no further than the remembered rules while these are the same", () => {
  const list = Array.from({ length: 100 }, (_one, index) => rule(`/${index}`));
  const meant = meantOf(list);
  const far = Object.defineProperty({ ...rule("/far") }, "matches", { get: () => assert.fail("it was read") });
  assert.equal(found({ rule: 1 }, [...list.slice(0, 50), far], meant), 1);
});

test("a record from another version of the route's API counts, and its form stays the same in all releases", () => {
  const meant = meantOf([shop, cart]);
  assert.equal(meant.route, "gateway.networking.k8s.io/v1/HTTPRoute/shop/web /spec/rules");
  const older = { ...meant, route: meant.route.replace("/v1/", "/v1beta1/") };
  assert.equal(found({ rule: 1 }, [shop, added, cart], older), found({ rule: 1 }, [shop, added, cart], meant));
  assert.equal(found({ rule: 1 }, [shop, added, cart], older), 2);
  const ofOther = { ...meant, route: meant.route.replace("gateway.networking.k8s.io", "example.org") };
  assert.equal(found({ rule: 1 }, [shop, added, cart], ofOther), 1, "a route of another group");
});
