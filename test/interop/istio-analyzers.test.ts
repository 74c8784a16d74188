// Gives the inputs of the tests of Istio's analyzers to Serin's, and compares the codes and their objects.
// `scripts/fetch/istiod.sh` copies the inputs from Istio's module to a folder beside pilot-discovery.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { analyze, readManifest, type Resource } from "../../src/analyze/index.ts";
import { parseMeshConfig } from "../../src/api/istio/index.ts";
import { explainedAnalyses } from "./istioctl/explained-analyses.ts";

const istiod = process.env["ISTIOD"];
const istioNamespace = "istio-system";
const fewestCases = 100;

/** A case in the table of Istio's `analyzers_test.go`. */
interface AnalyzerCase {
  readonly name: string;
  readonly files: readonly string[];
  readonly meshConfig: string | undefined;
  readonly meshNetworks: string | undefined;
  /** The analyzer's type in Go. */
  readonly analyzer: string;
  /** For example `IST0101 Gateway shop/web`. */
  readonly expected: readonly string[];
}

/** Istio's tests add this gateway to every input. */
const installedGateway = `
apiVersion: v1
kind: Pod
metadata: {name: istio-ingressgateway, namespace: ${istioNamespace}, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy, image: proxyv2}]}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: ${istioNamespace}}
spec:
  selector: {istio: ingressgateway}
  ports: [{name: http2, port: 80}, {name: https, port: 443}, {name: tcp, port: 31400}, {name: tls, port: 15443}]
`;

function casesOf(folder: string): readonly AnalyzerCase[] {
  const { messages } = parse(readFileSync(join(folder, "messages.yaml"), "utf8")) as {
    readonly messages: readonly { readonly name: string; readonly code: string }[];
  };
  const codes = new Map(messages.map(({ name, code }) => [name, code]));
  const go = readFileSync(join(folder, "analyzers_test.go"), "utf8");
  const begin = go.indexOf("var testGrid");
  const text = go.slice(begin, go.indexOf("\n}\n", begin)).replaceAll(/^\s*\/\/.*$/gm, "");
  const quoted = (entry: string, field: string): string | undefined =>
    new RegExp(`${field}:\\s*"([^"]*)"`).exec(entry)?.[1];
  return text
    .split(/\n\t\{\n/)
    .slice(1)
    .map((entry) => ({
      name: quoted(entry, "name") ?? "",
      files: [...(/inputFiles:\s*\[\]string\{([^}]*)\}/.exec(entry)?.[1] ?? "").matchAll(/"([^"]*)"/g)].map(
        ([, file = ""]) => file,
      ),
      meshConfig: quoted(entry, "meshConfigFile"),
      meshNetworks: quoted(entry, "meshNetworksFile"),
      analyzer: /analyzer:\s*&(.*)\{\}/.exec(entry)?.[1] ?? "",
      expected: [...entry.matchAll(/\{msg\.(\w+), "([^"]*)"\}/g)].map(
        ([, name = "", object = ""]) => `${codes.get(name) ?? ""} ${object}`,
      ),
    }));
}

async function reportedBy(folder: string, { files, meshConfig, meshNetworks }: AnalyzerCase): Promise<Set<string>> {
  const textOf = (file: string | undefined): string =>
    file === undefined ? "" : readFileSync(join(folder, file), "utf8");
  const read = await Promise.all(files.map((file) => readManifest(basename(file), textOf(file))));
  const resources: Resource[] = [
    ...(await readManifest("installed.yaml", installedGateway)).resources,
    ...read.flatMap((manifest) => manifest.resources),
    {
      object: {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "istio", namespace: istioNamespace },
        data: { mesh: textOf(meshConfig), meshNetworks: textOf(meshNetworks) },
      },
    },
  ];
  const messages = analyze(resources, {
    scope: "cluster",
    istioNamespace,
    defaultNamespace: "default",
    nowMs: Date.now(),
    meshConfig: parseMeshConfig(parse(textOf(meshConfig)) ?? {}).value,
  });
  return new Set(
    messages.flatMap(({ type, resource }) => {
      const { kind = "", metadata } = resource?.object ?? { metadata: {} };
      return `${type.code} ${kind} ${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
    }),
  );
}

/** Istio's tests name an object as it is written: with its namespace, or without one if it has none. */
function isReported(expected: string, reported: ReadonlySet<string>): boolean {
  const [code = "", kind = "", name = ""] = expected.split(" ");
  const places = name.includes("/") ? [name] : [`default/${name}`, `/${name}`];
  return places.some((place) => reported.has(`${code} ${kind} ${place}`));
}

if (istiod === undefined) {
  process.stderr.write(
    "not run, Istio's analyzers: ISTIOD names no pilot-discovery; scripts/fetch/istiod.sh builds one\n",
  );
} else {
  const folder = join(dirname(istiod), "istio-analyzers");
  test("reports what Istio's analyzers report for their own inputs, except for explained differences", async () => {
    const cases = casesOf(folder);
    assert.ok(cases.length >= fewestCases, `${cases.length} cases`);
    // An analyzer may report only codes that one of its cases expects.
    const codesOf = Map.groupBy(cases, ({ analyzer }) => analyzer);
    const found: string[] = [];
    for (const one of cases) {
      const reported = await reportedBy(folder, one);
      const codes = new Set(
        (codesOf.get(one.analyzer) ?? []).flatMap(({ expected }) => expected.map((entry) => entry.slice(0, 7))),
      );
      for (const entry of new Set(one.expected)) {
        // Istio's inputs are often incomplete. An object that Serin calls invalid has no effect, and so no other
        // messages.
        const isInvalid = isReported(entry.replace(/^\w+/, "IST0106"), reported);
        if (!isInvalid && !isReported(entry, reported)) found.push(`${one.name}: not ${entry}`);
      }
      for (const entry of reported) {
        if (!codes.has(entry.slice(0, 7))) continue;
        if (!one.expected.some((wanted) => isReported(wanted, new Set([entry]))))
          found.push(`${one.name}: also ${entry}`);
      }
    }
    const isExplained = (difference: string): boolean =>
      explainedAnalyses.some(({ covers }) => covers.test(difference));
    assert.deepEqual(
      found.filter((difference) => !isExplained(difference)),
      [],
    );
    const unused = explainedAnalyses.filter(({ covers }) => !found.some((difference) => covers.test(difference)));
    assert.deepEqual(
      unused.map(({ why }) => why),
      [],
      "explanations of nothing",
    );
  });
}
