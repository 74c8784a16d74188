import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { parseQuery } from "../../promql/index.ts";
import type { QueryPrometheus } from "../web/index.ts";
import { fillIn, legendText, readDashboard, variableQuery } from "./dashboard.ts";
import { dashboardPage } from "./grafana-pages.ts";

test("variables are substituted in queries in each of their forms", () => {
  const values = new Map([
    ["service", "web.default"],
    ["all", ".*"],
  ]);
  assert.equal(
    fillIn('rate(x{s="$service",a=~"${all}",b=~"[[all]]",c="${service:regex}"}[$__rate_interval])', values),
    'rate(x{s="web.default",a=~".*",b=~".*",c="web.default"}[1m])',
  );
  assert.equal(fillIn("x{a='$constructor',b='${toString}'}", values), "x{a='$constructor',b='${toString}'}");
  assert.equal(fillIn('label_replace(x, "a", "$1", "b", "(.*)")', values), 'label_replace(x, "a", "$1", "b", "(.*)")');
  assert.deepEqual(variableQuery('label_values(istio_requests_total{a=~"$all"}, destination_service)', values), {
    expression: 'group by (destination_service) (istio_requests_total{a=~".*"})',
    label: "destination_service",
  });
  assert.deepEqual(variableQuery("query_result(sum by (a) (x))", values), {
    expression: "sum by (a) (x)",
    label: undefined,
  });
  assert.equal(variableQuery("metrics(x)", values), undefined);
  assert.equal(legendText("{{ a }}: {{b}}", { a: "1" }), "1: ");
  assert.equal(legendText("", { __name__: "n", a: "1" }), "a=1");
});

const manifest = readFileSync(join(import.meta.dirname, "../../../samples/addons/grafana.yaml"), "utf8");
const dashboards = parseAllDocuments(manifest)
  .map((document) => document.toJS() as { data?: Record<string, string> })
  .flatMap(({ data = {} }) => Object.entries(data).filter(([name]) => name.endsWith(".json")))
  .map(([name, text]) => readDashboard(JSON.parse(text), name, "istio"));

test("every query of the bundled dashboards is valid PromQL", () => {
  assert.equal(dashboards.length, 7);
  const values = new Map(["service", "namespace", "workload"].map((name) => [name, "x"]));
  for (const { title, panels } of dashboards) {
    assert.ok(panels.length > 0, title);
    for (const { targets } of panels)
      for (const { expression } of targets)
        assert.doesNotThrow(() => parseQuery(fillIn(expression, values)), `${title}: ${expression}`);
  }
});

test("a page shows the current values, the choices of a variable, and why a panel is empty", async () => {
  const raw = {
    title: "Mine <b>",
    templating: { list: [{ name: "service", type: "query", query: "label_values(x, service)" }] },
    panels: [
      {
        type: "row",
        title: "Of $service",
        panels: [{ title: "Rate", targets: [{ expr: 'rate(x{service="$service"}[1m])', legendFormat: "{{code}}" }] }],
      },
      { title: "Broken", targets: [{ expr: "bad" }] },
      { title: "Empty", targets: [{ expr: "none" }] },
    ],
  };
  const queries: string[] = [];
  const query: QueryPrometheus = async (text) => {
    queries.push(text);
    if (text === "bad") throw new Error("refused");
    if (text.startsWith("group"))
      return [
        { labels: { service: "a" }, value: 1 },
        { labels: { service: "b" }, value: 1 },
      ];
    return text === "none" ? [] : [{ labels: { code: "200" }, value: 1.23456 }];
  };
  const page = await dashboardPage(readDashboard(raw, "mine", ""), new Map([["service", "b"]]), query);
  assert.ok(queries.includes('rate(x{service="b"}[1m])'));
  assert.match(
    page,
    /Mine &lt;b&gt;[\s\S]*<option>a<\/option><option selected>b<\/option>[\s\S]*Of b[\s\S]*200[\s\S]*1\.235[\s\S]*refused[\s\S]*no data/,
  );
  queries.length = 0;
  await dashboardPage(readDashboard(raw, "mine", ""), new Map([["service", 'b"} or x']]), query);
  assert.ok(queries.includes('rate(x{service="a"}[1m])'));
  queries.length = 0;
  const hostile: QueryPrometheus = async (text) =>
    text.startsWith("group")
      ? [{ labels: { service: 'a"} or x{y="' }, value: 1 }, ...(await query(text))]
      : query(text);
  await dashboardPage(readDashboard(raw, "mine", ""), new Map(), hostile);
  assert.ok(queries.includes('rate(x{service="a"}[1m])'));
});
