import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { refusedImports } from "./refused-imports.ts";

/** Returns the rules that refuse an import of one file by another. */
function rulesAgainst(from: string, to: string): string[] {
  const text = `// What it does.\nimport { one } from "${to}";\n`;
  return refusedImports(new Map([[from, text]])).map((problem) => / \(([\w-]+)\)$/.exec(problem)?.[1] ?? problem);
}

suite("imports that a rule refuses", () => {
  test("a part may import only the parts of its entry, and those only through a door", () => {
    assert.deepEqual(rulesAgainst("src/net/socket.ts", "../wire/index.ts"), []);
    assert.deepEqual(rulesAgainst("src/net/socket.ts", "../kube/index.ts"), ["net-imports"]);
    assert.deepEqual(rulesAgainst("src/net/socket.ts", "../wire/http2/session.ts"), ["through-the-door"]);
    assert.deepEqual(rulesAgainst("src/net/socket.ts", "../wire/http2/index.ts"), []);
    assert.deepEqual(rulesAgainst("src/cmd/pilot.ts", "../controlplane/index.ts"), []);
  });

  test("no floor of the proxy imports a higher one, except in tests and their fakes", () => {
    assert.deepEqual(rulesAgainst("src/proxy/tls/hello.ts", "../filters/filter.ts"), ["proxy-floor-peers-tls"]);
    assert.deepEqual(rulesAgainst("src/proxy/filters/filter.ts", "../tls/hello.ts"), []);
    assert.deepEqual(rulesAgainst("src/proxy/tls/hello.test.ts", "../filters/filter.ts"), []);
    assert.deepEqual(rulesAgainst("src/proxy/tls/testing/fake.ts", "../../filters/filter.ts"), []);
  });

  test("the pure middle imports none of Node's modules, except in tests", () => {
    assert.deepEqual(rulesAgainst("src/rollout/decide/steps.ts", "node:fs"), ["pure-middle"]);
    assert.deepEqual(rulesAgainst("src/rollout/decide/steps.ts", "fs"), ["pure-middle"]);
    assert.deepEqual(rulesAgainst("src/rollout/decide/steps.ts", "rrule"), []);
    assert.deepEqual(rulesAgainst("src/rollout/decide/steps.test.ts", "node:fs"), []);
    assert.deepEqual(rulesAgainst("src/rollout/engine/round.ts", "node:fs"), []);
  });

  test("the lab cluster imports no kind of Istio, and the page only the contract", () => {
    assert.deepEqual(rulesAgainst("src/cluster/store/store.ts", "../../api/istio/index.ts"), [
      "cluster-is-a-kubernetes",
    ]);
    assert.deepEqual(rulesAgainst("src/cluster/store/store.ts", "../../api/kubernetes/index.ts"), []);
    assert.deepEqual(rulesAgainst("src/dashboard/web/main.tsx", "../views/index.ts"), ["page-knows-the-contract"]);
    assert.deepEqual(rulesAgainst("src/dashboard/web/main.tsx", "../../api/dashboard/index.ts"), []);
  });

  test("the control plane's pipeline does not import its views, and the rest only through their door", () => {
    assert.deepEqual(rulesAgainst("src/controlplane/serve/server.ts", "../views/index.ts"), [
      "views-stand-on-the-pipeline",
    ]);
    assert.deepEqual(rulesAgainst("src/controlplane/debug/page.ts", "../views/clusters.ts"), [
      "views-through-the-door",
    ]);
    assert.deepEqual(rulesAgainst("src/controlplane/debug/page.ts", "../views/index.ts"), []);
  });

  test("only tests import tests, test/, scripts/ and bench/", () => {
    for (const to of [
      "./text.test.ts",
      "../../test/support/eventually.ts",
      "../../scripts/demo.ts",
      "../../bench/cli.ts",
    ]) {
      assert.deepEqual(rulesAgainst("src/base/text.ts", to), ["not-to-tests"]);
      assert.deepEqual(rulesAgainst("src/base/other.test.ts", to), []);
    }
  });
});

test("every way to import counts, and the message names the line, the rule and what it allows", () => {
  const statements = [
    'import { one } from "../kube/index.ts";',
    'import {\n  one,\n  // Why it is needed.\n  type Two as Other,\n} from "../kube/index.ts";',
    'import type { Two } from "../kube/index.ts";',
    'import * as all from "../kube/index.ts";',
    'import "../kube/index.ts";',
    'export { one } from "../kube/index.ts";',
    'export * from "../kube/index.ts";',
    'const late = await import("../kube/index.ts");',
    'let two: import("../kube/index.ts").Two;',
    'const old = require("../kube/index.ts");',
    'import { one /* the first */, two } from "../kube/index.ts";',
    'export {\n  /** The first. */\n  one,\n  // The second.\n  two,\n} from "../kube/index.ts";',
    'const later = await import(/* in time */ "../kube/index.ts");',
    'const last = await import(\n  // At the end.\n  "../kube/index.ts");',
  ];
  for (const statement of statements) {
    const [problem = "", ...others] = refusedImports(new Map([["src/net/socket.ts", `// Sockets.\n${statement}\n`]]));
    const line = 1 + statement.split("\n").length;
    assert.equal(
      problem,
      `src/net/socket.ts:${line} imports src/kube/index.ts: src/net may import only net, base, wire (net-imports)`,
    );
    assert.deepEqual(others, []);
  }
});

suite("files that import each other", () => {
  test("a circle is reported once, by a shortest way, and imports of types count", () => {
    const problems = refusedImports(
      new Map([
        ["src/base/a.ts", 'import { b } from "./b.ts";\n'],
        ["src/base/b.ts", 'import { c } from "./c.ts";\nimport { d } from "./d.ts";\n'],
        ["src/base/c.ts", 'import { d } from "./d.ts";\n'],
        ["src/base/d.ts", 'import type { A } from "./a.ts";\n'],
        ["src/base/e.ts", 'import { a } from "./a.ts";\n'],
      ]),
    );
    assert.deepEqual(problems, [
      "these files import each other in a circle: src/base/a.ts -> src/base/b.ts -> src/base/d.ts -> src/base/a.ts",
    ]);
  });

  test("two circles that do not touch are reported both", () => {
    const pair = (one: string, other: string): [string, string][] => [
      [`src/base/${one}.ts`, `import "./${other}.ts";\n`],
      [`src/base/${other}.ts`, `import "./${one}.ts";\n`],
    ];
    const bridge: [string, string] = ["src/base/bridge.ts", 'import "./a.ts";\nimport "./c.ts";\n'];
    assert.equal(refusedImports(new Map([bridge, ...pair("a", "b"), ...pair("c", "d")])).length, 2);
  });

  test("files that import the same file form no circle", () => {
    const texts = new Map([
      ["src/base/a.ts", 'import "./b.ts";\nimport "./c.ts";\n'],
      ["src/base/b.ts", 'import "./d.ts";\n'],
      ["src/base/c.ts", 'import "./d.ts";\n'],
      ["src/base/d.ts", ""],
    ]);
    assert.deepEqual(refusedImports(texts), []);
  });
});
