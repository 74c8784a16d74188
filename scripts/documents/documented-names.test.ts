// These tests check that the documents name every environment variable that a process of the mesh reads, and every
// metric of Serin's own, and that they name no others.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const sources = join(import.meta.dirname, "../..", "src");
const contractsFolder = join(import.meta.dirname, "../..", "docs/contracts");

/** The files that read a process's environment, and the pages that must name the variables. */
const contracts = [
  {
    files: filesEndingWith("-options.ts", "api/pilot-settings"),
    pages: ["pilot-environment.md", "pilot.md"],
    least: 40,
  },
  { files: ["ztunnel/config.ts"], pages: ["ztunnel.md", "data-planes.md"], least: 25 },
  { files: ["proxy/proxy-settings.ts", "cmd/proxy.ts"], pages: ["data-planes.md", "pilot.md"], least: 20 },
  { files: ["cmd/cni.ts"], pages: ["cni.md", "data-planes.md"], least: 10 },
] as const;

function filesEndingWith(end: string, folder: string): readonly string[] {
  return readdirSync(join(sources, folder)).flatMap((name) => (name.endsWith(end) ? join(folder, name) : []));
}

for (const { files, pages, least } of contracts)
  test(`${pages[0]} names every variable that ${files[0] ?? ""} and its like read`, () => {
    const read = files.flatMap((file) =>
      [...readFileSync(join(sources, file), "utf8").matchAll(/\benv(?:\w*\(\s*env,\s*|\[)"([A-Z0-9_]+)"/g)].map(
        ([, variable = ""]) => variable,
      ),
    );
    assert.ok(read.length >= least, `only ${read.length} variables were found`);
    const text = pages.map((page) => readFileSync(join(contractsFolder, page), "utf8")).join("\n");
    assert.deepEqual(
      read.filter((name) => !new RegExp(`\\b${name}\\b`).test(text) && !name.startsWith("ISTIO_META_")),
      [],
    );
  });

test("the documents name every metric of Serin's own", () => {
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" });
  const metrics = new Set(
    files
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
      .flatMap((file) => readFileSync(join(sources, file), "utf8").match(/(?<=")serin_\w+[a-z](?=")/g) ?? []),
  );
  assert.ok(metrics.size > 15, `only ${metrics.size} metrics were found`);
  const documents = join(contractsFolder, "..");
  const text = readdirSync(documents, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => readFileSync(join(documents, file), "utf8"))
    .join("\n");
  assert.deepEqual(
    [...metrics].filter((name) => !text.includes(name)),
    [],
  );
});

test("the contracts and the page about debugging name no variable, metric or file that does not exist", () => {
  const root = join(sources, "..");
  const code = ["src", "scripts", "samples", "manifests", "bin"]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(root, folder, file)),
    )
    .filter((file) => /\.(?:ts|tsx|yaml|sh)$|serin$/.test(file) && statSync(file).isFile())
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
  const pages = [...readdirSync(contractsFolder).map((page) => join("contracts", page)), "debugging.md"];
  const unknown = pages.flatMap((page) => {
    const text = readFileSync(join(root, "docs", page), "utf8");
    const variables = text.match(/\b(?!ISTIO_META_)[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+\b/g) ?? [];
    const metrics = text.match(/\bserin_[a-z0-9_]+[a-z0-9]\b/g) ?? [];
    const files = text.match(/\bsrc\/[\w/.-]+[\w/]/g) ?? [];
    return [
      ...[...variables, ...metrics].filter((name) => !code.includes(name)),
      ...files.filter((file) => !existsSync(join(root, file))),
    ].map((name) => `${page}: ${name}`);
  });
  assert.deepEqual(unknown, []);
});
