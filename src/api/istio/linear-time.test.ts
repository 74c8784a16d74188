import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../base/index.ts";
import { firstOverlaps, isWithinOneOf } from "./domain-names.ts";
import { parseVirtualService } from "./virtual-service/virtual-service.ts";

/** A reference implementation that compares all pairs. */
function overlap(left: string, right: string): boolean {
  if (!left.startsWith("*") && !right.startsWith("*")) return left === right;
  if (!left.startsWith("*")) return left.endsWith(right.slice(1));
  if (!right.startsWith("*")) return right.endsWith(left.slice(1));
  return left.endsWith(right.slice(1)) || right.endsWith(left.slice(1));
}

function within(name: string, wider: string): boolean {
  if (!wider.startsWith("*")) return name === wider;
  return name.length >= wider.length && name.replace(/^\*/, "").endsWith(wider.slice(1));
}

test("the first overlap of each host equals the result of comparing all pairs", () => {
  const random = seededRandom(5);
  const pick = <Value>(choices: readonly Value[]): Value => choices[Math.floor(random() * choices.length)] as Value;
  for (let round = 0; round < 3000; round += 1) {
    const names = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
      const labels = Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(["a", "b", "ab", "ba"]));
      return pick(["", "", "*.", "*"]) + labels.join(".");
    });
    if (random() < 0.1) names.splice(Math.floor(random() * names.length), 0, "*");
    const expected = names.map((name, index) => names.slice(0, index).find((other) => overlap(other, name)));
    assert.deepEqual(firstOverlaps(names), expected, names.join(" "));
    for (const name of names)
      for (const others of [names.slice(0, 3), names.slice(3)])
        assert.equal(
          isWithinOneOf(name, others),
          others.some((other) => within(name, other)),
          `${name} in ${others.join(" ")}`,
        );
  }
});

const lists: Readonly<Record<string, (count: number) => Record<string, unknown>>> = {
  "distinct hosts": (count) => ({ hosts: Array.from({ length: count }, (_, index) => `h${index}.example.com`) }),
  "equal hosts": (count) => ({ hosts: Array.from({ length: count }, () => "h.example.com") }),
  wildcards: (count) => ({ hosts: Array.from({ length: count }, (_, index) => `*.h${index}.example.com`) }),
  "server names": (count) => ({
    hosts: Array.from({ length: count }, (_, index) => `h${index}.example.com`),
    tls: [{ match: [{ sniHosts: Array.from({ length: count }, (_, index) => `s${index}.example.org`) }], route: [] }],
  }),
  prefixes: (count) => ({
    hosts: ["h.example.com"],
    http: Array.from({ length: count }, (_, index) => ({ match: [{ uri: { prefix: `/p${index}/` } }] })),
  }),
  "equal prefixes": (count) => ({
    hosts: ["h.example.com"],
    http: Array.from({ length: count }, (_, index) => ({
      match: [{ uri: { prefix: "/p/" }, headers: { [`h${index}`]: { exact: "1" } } }],
    })),
  }),
};

function quickestMs(spec: Record<string, unknown>): number {
  const raw = { metadata: { name: "v", namespace: "n" }, spec };
  let quickest = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run += 1) {
    const before = process.cpuUsage();
    parseVirtualService(raw);
    const { user, system } = process.cpuUsage(before);
    quickest = Math.min(quickest, (user + system) / 1000);
  }
  return quickest;
}

for (const [title, make] of Object.entries(lists))
  test(`a VirtualService of four times as many ${title} takes less than sixteen times as long`, () => {
    const count = 2000;
    quickestMs(make(count));
    const [once, fourTimes] = [quickestMs(make(count)), quickestMs(make(4 * count))];
    // With linear growth, four times the size takes four times as long. The 40 ms cover work that does not depend on
    // the list.
    assert.ok(fourTimes < 9 * once + 40, `${count}: ${once} ms, ${4 * count}: ${fourTimes} ms`);
    assert.ok(fourTimes < 3000, `${fourTimes} ms`);
  });
