// These tests check that lines of the documents for kubectl, helm, npm and Node name what exists: verbs, kinds, objects
// of the mesh, files, charts, scripts and their flags. `document-commands.test.ts` does the same for `serin`.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { UntypedObject } from "../../src/api/index.ts";
import type { IstioOperatorSpec } from "../../src/api/istio/index.ts";
import { createSchemaRegistry, type ResourceType } from "../../src/cluster/schema/index.ts";
import { objectsInManifest } from "../../src/kube/index.ts";
import { applySetFlags, parseSetFlags } from "../../src/install/set-flags.ts";
import { chartNames, renderCharts, renderInstall, resolveSettings } from "../../src/install/index.ts";
import { blocksOf, readDocument, userDocuments } from "./document-blocks.ts";
import packageJson from "../../package.json" with { type: "json" };

const root = join(import.meta.dirname, "../..");
const crds = join(root, "manifests/crds");
const verbs = new Set(
  "annotate api-resources api-versions apply auth certificate cp create debug delete describe diff drain edit exec explain expose get kustomize label logs patch port-forward replace rollout run scale set taint top uncordon version wait".split(
    " ",
  ),
);
/** Verbs whose next words are kinds or objects. */
const objectVerbs = /^(annotate|delete|describe|edit|exec|get|label|logs|patch|port-forward|scale|wait)$/;
/** Flags whose value is the next word. */
const valueFlags =
  /^(-[nlocfpL]|--(namespace|selector|output|container|filename|patch|field-selector|image|context|as))$/;
/** A word that the reader replaces: `NAME`, `<namespace>`, `…`. */
const placeholder = /[…<>{}$\\]|^[A-Z][A-Z-]+$/;

interface Line {
  readonly at: string;
  readonly words: readonly string[];
}

const registry = createSchemaRegistry();
for (const file of globSync("*.yaml", { cwd: crds }))
  for (const definition of await definitionsIn(file))
    if (definition.kind === "CustomResourceDefinition") registry.addCustomResourceDefinition(definition);

/** The objects that an installation of the profile `ambient` writes. */
const written: readonly UntypedObject[] = await (async () => {
  const { value: settings, errors } = resolveSettings(
    { specs: [{ profile: "ambient" }] },
    { hub: "h", tag: packageJson.version },
  );
  assert.ok(settings, JSON.stringify(errors));
  const customResources = {
    istio: await definitionsIn("istio.yaml"),
    rollout: await definitionsIn("rollout.yaml"),
  };
  return renderInstall(settings, customResources).components.flatMap(({ objects }) => objects);
})();
const inCharts = renderCharts({
  hub: "h",
  version: packageJson.version,
  customResources: { istio: [], rollout: [], banzai: [] },
})
  .flatMap(({ files }) => [...files.values()])
  .join("\n");

test("every line for kubectl in the documents has an existing verb, kind, file and object of the mesh", () => {
  const lines = linesOf(/^kubectl$/);
  assert.ok(lines.length > 60, `${lines.length} lines`);
  assert.deepEqual(
    lines.flatMap((line) => faultsOfKubectl(line).map((fault) => `${line.at}: ${line.words.join(" ")}: ${fault}`)),
    [],
  );
});

test("every line for helm in the documents names a chart of this version or the next one", () => {
  const archives = linesOf(/^helm$/).flatMap(({ at, words }) =>
    words.filter((word) => word.endsWith(".tgz")).map((word) => ({ at, word })),
  );
  assert.ok(archives.length > 5, `${archives.length} archives`);
  const [major = 0, minor = 0, patch = 0] = packageJson.version.split(".").map(Number);
  const versions = [packageJson.version, `${major}.${minor}.${patch + 1}`];
  const existing = new Set(chartNames.flatMap((name) => versions.map((one) => `charts/${name}-${one}.tgz`)));
  assert.deepEqual(
    archives.filter(({ word }) => !existing.has(word)),
    [],
  );
});

test("every npm script, source file and shell script that a line of the documents runs exists, with its flags", () => {
  const lines = linesOf(/^(npm|node|scripts\/[\w./-]+)$/);
  assert.ok(lines.length > 60, `${lines.length} lines`);
  assert.deepEqual(
    lines.flatMap((line) => faultsOfScript(line).map((fault) => `${line.at}: ${line.words.join(" ")}: ${fault}`)),
    [],
  );
});

test("the installer takes every --set of the documents without an error or a warning", () => {
  const texts = userDocuments().flatMap((document) =>
    [...readDocument(document).matchAll(/--set ([a-zA-Z][\w.]*=[^\s`),;]+)/g)].map(([, text = ""]) => ({
      at: document,
      // In a command of helm, the values have no prefix `values.`.
      text: /^(values|components|hub|tag|profile|revision|meshConfig|spec)\b/.test(text) ? text : `values.${text}`,
    })),
  );
  assert.ok(texts.length > 20, `${texts.length} flags`);
  assert.deepEqual(
    texts.flatMap(({ at, text }) => faultsOfSet(text).map((fault) => `${at}: --set ${text}: ${fault}`)),
    [],
  );
});

test("a line that names something unknown is reported", () => {
  assert.match(faultsOfSet("values.pilot.lost=1").join(), /values\.pilot\.lost/);

  const faults = (text: string): string[] =>
    text.startsWith("kubectl") ? faultsOfKubectl(lineOf(text)) : faultsOfScript(lineOf(text));
  assert.deepEqual(faults("kubectl gte pods"), ["no verb gte"]);
  assert.deepEqual(faults("kubectl get canarys -A"), ["no kind canarys"]);
  assert.deepEqual(faults("kubectl apply -n shop -f samples/lost.yaml"), ["no file samples/lost.yaml"]);
  assert.deepEqual(faults("kubectl logs -n istio-system deploy/istoid"), ["no Deployment istoid in istio-system"]);
  assert.deepEqual(faults("kubectl delete roles -n istio-system -l app=lost"), ["no Role with the label app=lost"]);
  assert.deepEqual(faults("npm run lost"), ["no script lost"]);
  assert.deepEqual(faults("npm run demo -- --lost 2"), ["no flag --lost"]);
  assert.deepEqual(faults("node scripts/lost.ts"), ["no file scripts/lost.ts"]);
});

function faultsOfSet(text: string): string[] {
  const { flags, errors } = parseSetFlags([text.replaceAll(/<[\w ]+>|…/g, "example")]);
  const spec = applySetFlags({}, flags) as IstioOperatorSpec;
  const settings = resolveSettings({ specs: [spec] }, { hub: "h", tag: packageJson.version });
  return [...errors, ...settings.errors, ...settings.warnings].map(({ path, message }) => `${path}: ${message}`);
}

async function definitionsIn(file: string): Promise<UntypedObject[]> {
  return await Array.fromAsync(objectsInManifest(readFileSync(join(crds, file), "utf8")));
}

function lineOf(text: string, at = ""): Line {
  return { at, words: text.trim().split(/\s+/) };
}

/** Returns the commands in code blocks and between backquotes whose program has this name. */
function linesOf(program: RegExp): Line[] {
  return userDocuments()
    .flatMap((document) => {
      const text = readDocument(document);
      const fenced = blocksOf(document, text).filter(({ language }) => /^(sh|bash|)$/.test(language));
      const inline = [...text.matchAll(/`([^`\n]+)`/g)].map(([, piece = ""]) => ({ at: document, piece }));
      const whole = fenced.flatMap((block) =>
        block.text
          .replaceAll(/<<'?EOF'?\n[^]*?^EOF$/gm, "")
          .replaceAll("\\\n", " ")
          .split("\n")
          .map((line) => ({ at: `${document}:${block.line}`, piece: line.replace(/(^|\s)#.*$/, "") })),
      );
      return [...inline, ...whole];
    })
    .flatMap(({ at, piece }) => piece.split(/\s*(?:&&|\||;)\s*/).map((command) => lineOf(command, at)))
    .map(({ at, words }) => ({ at, words: words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word))) }))
    .filter(({ words: [first = "", second = ""] }) => program.test(first) && (second !== "" || first.includes("/")));
}

function faultsOfKubectl({ words }: Line): string[] {
  const flags = new Map<string, string>();
  const rest: string[] = [];
  for (let index = 1; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "--") break;
    if (!word.startsWith("-") || word === "-") rest.push(word);
    else if (valueFlags.test(word)) flags.set(word, words[(index += 1)] ?? "");
  }
  const [verb = "", ...subjects] = rest;
  if (verb === "" || placeholder.test(verb)) return [];
  if (!verbs.has(verb)) return [`no verb ${verb}`];
  const file = flags.get("-f") ?? "";
  if (file.startsWith("samples/") && !placeholder.test(file) && !existsSync(join(root, file)))
    return [`no file ${file}`];
  if (verb === "rollout") subjects.shift();
  else if (!objectVerbs.test(verb)) return [];
  return faultsOfObjects(verb, subjects, flags);
}

function faultsOfObjects(verb: string, subjects: readonly string[], flags: ReadonlyMap<string, string>): string[] {
  const [first = "", second = ""] = subjects;
  if (first === "" || placeholder.test(first)) return [];
  const [kinds = "", ofSlash] = first.split("/");
  // These verbs take a pod's name alone.
  if (ofSlash === undefined && /^(exec|logs|port-forward)$/.test(verb)) return [];
  const namespace = flags.get("-n") ?? "";
  const name = ofSlash ?? second;
  return kinds.split(",").flatMap((text) => {
    const type = typeOf(text);
    if (type === undefined) return [`no kind ${text}`];
    return [...faultOfName(type, name, namespace), ...faultOfLabel(type, flags.get("-l"))];
  });
}

/** Returns the kind that kubectl finds by a plural, a singular, a short name or a kind, with or without its group. */
function typeOf(text: string): ResourceType | undefined {
  const [name = "", ...group] = text.toLowerCase().split(".");
  return registry
    .resources()
    .find(
      (type) =>
        [type.plural, type.singular, type.kind.toLowerCase(), ...type.shortNames].includes(name) &&
        (group.length === 0 || type.group === group.join(".")),
    );
}

function faultOfName({ kind }: ResourceType, name: string, namespace: string): string[] {
  if (!/^(istio|serin)-system$/.test(namespace) || name === "" || placeholder.test(name) || /[=]/.test(name)) return [];
  const exists = written.some(
    (object) => object.kind === kind && object.metadata.name === name && object.metadata.namespace === namespace,
  );
  return exists || inCharts.includes(`name: ${name}\n`) ? [] : [`no ${kind} ${name} in ${namespace}`];
}

function faultOfLabel({ kind }: ResourceType, selector: string | undefined): string[] {
  if (selector === undefined || !/^[\w./-]+=[\w.-]+$/.test(selector)) return [];
  const [key = "", value] = selector.split("=");
  const ofKind = written.filter((object) => object.kind === kind);
  if (ofKind.length === 0 || ofKind.some(({ metadata }) => metadata.labels?.[key] === value)) return [];
  return [`no ${kind} with the label ${selector}`];
}

function faultsOfScript({ words }: Line): string[] {
  const [program = "", second = "", third = ""] = words;
  if (program.startsWith("scripts/")) return existsSync(join(root, program)) ? [] : [`no file ${program}`];
  if (program === "node") {
    const files = words.slice(1).filter((word) => /^(scripts|bench|src|test)\/[\w./-]+$/.test(word));
    return files.filter((file) => !existsSync(join(root, file))).map((file) => `no file ${file}`);
  }
  const name = second === "run" ? third : second;
  if (["install", "ci", "pack"].includes(name) || placeholder.test(name)) return [];
  const scripts: Readonly<Record<string, string>> = packageJson.scripts;
  const command = scripts[name];
  if (command === undefined) return [`no script ${name}`];
  const source = /node ((?:scripts|bench)\/[\w./-]+\.ts)/.exec(command)?.[1];
  if (source === undefined) return [];
  const texts = sourcesOf(source, words[words.indexOf("--") + 1] ?? "");
  return words
    .map((word) => /^\[?(--[a-z][\w-]*)/.exec(word)?.[1] ?? "")
    .filter(
      (flag) =>
        !["", "--help"].includes(flag) &&
        !new RegExp(`[\\s{,"]${flag.slice(2)}"?:\\s|${flag}\\b|"${flag.slice(2)}"`).test(texts),
    )
    .map((flag) => `no flag ${flag}`);
}

/**
 * Returns the sources of a script and of its folders. If `part` is a name, adds the sources of the program of that
 * name.
 */
function sourcesOf(source: string, part: string): string {
  const names = [basename(source, ".ts"), ...(/^[a-z-]+$/.test(part) ? [part] : [])];
  const patterns = [
    source,
    source.startsWith("bench/") ? "bench/**/*.ts" : "scripts/suite/**/*.ts",
    ...names.flatMap((name) => [`scripts/${name}.ts`, `scripts/${name}/**/*.ts`, `test/${name}/**/*.ts`]),
  ];
  const files = new Set(patterns.flatMap((pattern) => globSync(pattern, { cwd: root })));
  return [...files].map((file) => readFileSync(join(root, file), "utf8")).join("\n");
}
