import assert from "node:assert/strict";
import { test } from "node:test";
import { relabel } from "./relabel.ts";
import { parseScrapeConfig } from "./scrape-config.ts";

/** The labels after one rule in the configuration's form. Undefined if the rule drops the target. */
function after(rule: string, labels: Readonly<Record<string, string>>): Record<string, string> | undefined {
  const { jobs } = parseScrapeConfig(`scrape_configs: [{job_name: j, relabel_configs: [${rule}]}]`, "t");
  const changed = relabel(new Map(Object.entries(labels)), jobs[0]?.relabelRules ?? []);
  return changed === undefined ? undefined : Object.fromEntries(changed);
}

const cases: readonly (readonly [
  string,
  Readonly<Record<string, string>>,
  Readonly<Record<string, string>> | undefined,
])[] = [
  [
    "{source_labels: [a, b], regex: '(.*);(.*)', target_label: c, replacement: '$2-${1}'}",
    { a: "x", b: "y" },
    { a: "x", b: "y", c: "y-x" },
  ],
  ["{source_labels: [a], regex: no, target_label: c}", { a: "x" }, { a: "x" }],
  ["{source_labels: [a], target_label: c}", { a: "x" }, { a: "x", c: "x" }],
  ["{target_label: a, replacement: ''}", { a: "x", b: "y" }, { b: "y" }],
  ["{source_labels: [a], regex: '(.*)', target_label: '${1}_c', replacement: z}", { a: "x" }, { a: "x", x_c: "z" }],
  ["{action: keep, source_labels: [a], regex: true}", { a: "true" }, { a: "true" }],
  ["{action: keep, source_labels: [a], regex: true}", { a: "truely" }, undefined],
  ["{action: keep, source_labels: [none], regex: .+}", { a: "x" }, undefined],
  ["{action: drop, source_labels: [a], regex: x|y}", { a: "y" }, undefined],
  ["{action: labelmap, regex: 'meta_(.+)'}", { meta_a: "x", b: "y" }, { meta_a: "x", b: "y", a: "x" }],
  ["{action: labeldrop, regex: 'meta_.+'}", { meta_a: "x", b: "y" }, { b: "y" }],
  ["{action: labelkeep, regex: 'b'}", { meta_a: "x", b: "y" }, { b: "y" }],
  ["{action: uppercase, source_labels: [a], target_label: a}", { a: "x" }, { a: "X" }],
  ["{action: keepequal, source_labels: [a], target_label: b}", { a: "x", b: "y" }, undefined],
  ["{action: dropequal, source_labels: [a], target_label: b}", { a: "x", b: "y" }, { a: "x", b: "y" }],
  [
    "{action: hashmod, source_labels: [a], target_label: shard, modulus: 1000}",
    { a: "foo" },
    { a: "foo", shard: "696" },
  ],
];

test("each relabel action behaves like Prometheus'", () => {
  for (const [rule, labels, expected] of cases)
    assert.deepEqual(after(rule, labels), expected, `${rule} on ${JSON.stringify(labels)}`);
});

const faults: Readonly<Record<string, RegExp>> = {
  "scrape_configs: {}": /t: scrape_configs: expected a list/,
  "scrape_configs: [{}]": /scrape_configs\[0\]: job_name: a name is required/,
  "scrape_configs: [{job_name: a}, {job_name: a}]": /several scrape_configs have the job_name "a"/,
  "scrape_configs: [{job_name: a, scrape_interval: 15}]": /scrape_interval: expected a duration such as 15s, got "15"/,
  "scrape_configs: [{job_name: a, scheme: ftp}]": /scheme: expected http or https, got "ftp"/,
  "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pods}]}]":
    /role: expected one of pod, endpoints, service, node, got "pods"/,
  "scrape_configs: [{job_name: a, relabel_configs: [{action: drp}]}]": /action: "drp" is unknown; did you mean drop\?/,
  "scrape_configs: [{job_name: a, relabel_configs: [{regex: '('}]}]":
    /relabel_configs\[0\]: target_label: the action replace needs one/,
  "scrape_configs: [{job_name: a, relabel_configs: [{target_label: a, regex: '('}]}]":
    /regex: "\(" is not a valid RE2 expression/,
  "scrape_configs: [\n- x: [": /t:2:\d+: not valid YAML|t:\d+:\d+: not valid YAML/,
};

test("an invalid configuration is refused with its field's path", () => {
  for (const [text, expected] of Object.entries(faults))
    assert.throws(() => parseScrapeConfig(text, "t"), expected, text);
});

test("unsupported options get a warning", () => {
  const { warnings } = parseScrapeConfig(
    "remote_write: [{}]\nscrape_configs: [{job_name: a, consul_sd_configs: [{}], kubernetes_sd_configs: [{role: ingress}]}]",
    "t",
  );
  assert.equal(warnings.length, 3);
  assert.match(warnings.join("\n"), /job a: consul_sd_configs has no effect here/);
});
