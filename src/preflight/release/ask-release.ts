import { readFile } from "node:fs/promises";
import { parseAllDocuments, stringify } from "yaml";
import { transientError, userError } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { objectsInManifest } from "../../kube/index.ts";
import { concernedDefinitions } from "../compare/definitions.ts";
import { readMessages } from "../compare/messages.ts";
import type { Json } from "../tree-diff.ts";
import type { ReleaseMessage } from "../report.ts";
import type { ChildResult } from "./child.ts";
import { definitionFiles, type Release } from "./release.ts";
import type { ReleaseRunner } from "./release-runner.ts";

/**
 * The objects that a release would install for these IstioOperator specs, in order. If the release refuses the specs,
 * throws a user error with its message.
 */
export async function askManifest(
  runner: ReleaseRunner,
  release: Release,
  specs: readonly unknown[],
  field = "to.install",
): Promise<readonly UntypedObject[]> {
  const objects: UntypedObject[] = [];
  for (const [index, spec] of specs.entries()) {
    const file = await runner.file(
      `install-${index}.yaml`,
      stringify({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec }, writtenForKubernetes),
    );
    const result = await runner.run(release, ["manifest", "generate", "-f", file]);
    if (result.code !== 0)
      throw userError(
        "release-refused",
        `release ${release.version} refuses spec.${field}${field === "to.install" ? `[${index}]` : ""}: ${outputTail(result, file)}`,
        {
          hint: `try: ${release.directory}/bin/${release.kind === "istio" ? "istioctl" : "serin"} manifest generate -f FILE`,
        },
      );
    objects.push(...(await Array.fromAsync(objectsInManifest(result.stdout))));
  }
  return objects;
}

export async function askProfile(runner: ReleaseRunner, release: Release, profile: string): Promise<Json> {
  const result = await runner.run(release, ["profile", "dump", profile]);
  const [document] = result.code === 0 ? parseAllDocuments(result.stdout) : [];
  if (document === undefined)
    throw userError("release-refused", `release ${release.version} has no profile "${profile}": ${outputTail(result)}`);
  return document.toJS() as Json;
}

/** The messages of a release's `analyze` about the cluster in the kubeconfig. */
export async function askAnalysis(
  runner: ReleaseRunner,
  release: Release,
  options: {
    readonly kubeconfig: string;
    readonly revision: string;
    readonly meshConfig: string;
    readonly namespace: string;
  },
): Promise<readonly ReleaseMessage[]> {
  const mesh = await runner.file("mesh.yaml", options.meshConfig);
  const args = [
    "analyze",
    "-A",
    "-o",
    "json",
    "--kubeconfig",
    options.kubeconfig,
    "--revision",
    options.revision,
    "-i",
    options.namespace,
    "--meshConfigFile",
    mesh,
  ];
  const result = await runner.run(release, args);
  const messages = readMessages(result.stdout === "" ? "[]" : result.stdout);
  if (messages === undefined || (result.stdout === "" && result.code !== 0))
    throw transientError(
      "release-failed",
      `release ${release.version} could not analyse the cluster: ${outputTail(result)}`,
    );
  return messages;
}

/**
 * The errors of a release's `validate` about objects, such as `Error: VirtualService shop/web: spec.http[0].x is no
 * field`.
 */
export async function askValidation(
  runner: ReleaseRunner,
  release: Release,
  objects: readonly UntypedObject[],
): Promise<readonly ReleaseMessage[]> {
  if (objects.length === 0) return [];
  const file = await runner.file("objects.yaml", objects.map((object) => JSON.stringify(object)).join("\n---\n"));
  const { stdout, stderr } = await runner.run(release, ["validate", "-f", file]);
  return `${stdout}\n${stderr}`.split("\n").flatMap((line) => {
    const [, level = "", text = ""] = /^(Error|Warning):\s+(.*)$/.exec(line.replaceAll(file, "")) ?? [];
    const [, origin = "", message = ""] = /^(?::?\d+:\d+:\s*)?([A-Z]\w+ [^\s:]+):\s*(.*)$/.exec(text) ?? [];
    return message === "" ? [] : [{ code: "validation", level, origin, message }];
  });
}

export interface InjectionInput {
  readonly revision: string;
  readonly namespace: string;
  readonly config: string;
  readonly values: string;
  readonly meshConfig: string;
}

/** The workloads as a release injects them, in their given order. */
export async function askInjection(
  runner: ReleaseRunner,
  release: Release,
  workloads: readonly UntypedObject[],
  input: InjectionInput,
): Promise<readonly UntypedObject[]> {
  const file = await runner.file("workloads.yaml", workloads.map((object) => JSON.stringify(object)).join("\n---\n"));
  const [config, values, mesh] = await Promise.all([
    runner.file("inject.yaml", input.config),
    runner.file("values.json", input.values),
    runner.file("mesh.yaml", input.meshConfig),
  ]);
  const args = [
    "kube-inject",
    "-f",
    file,
    "--injectConfigFile",
    config,
    "--valuesFile",
    values,
    "--meshConfigFile",
    mesh,
    "--revision",
    input.revision,
    "-i",
    input.namespace,
  ];
  const result = await runner.run(release, args);
  if (result.code !== 0)
    throw transientError(
      "release-failed",
      `release ${release.version} could not inject the workloads: ${outputTail(result, file)}`,
    );
  return await Array.fromAsync(objectsInManifest(result.stdout));
}

/** The CRDs in a release that matter for a cluster with the given CRDs. */
export async function readDefinitions(
  release: Release,
  cluster: readonly UntypedObject[],
): Promise<readonly UntypedObject[]> {
  const definitions: UntypedObject[] = [];
  for (const file of await definitionFiles(release))
    definitions.push(...(await Array.fromAsync(objectsInManifest(await readFile(file, "utf8")))));
  return concernedDefinitions(
    definitions.filter(({ kind }) => kind === "CustomResourceDefinition"),
    cluster,
  );
}

const maxSaid = 600;

function outputTail({ stdout, stderr, code }: ChildResult, file = ""): string {
  const text = (stderr.trim() === "" ? stdout : stderr)
    .trim()
    .replaceAll(file === "" ? "\0" : file, "the spec")
    .slice(0, maxSaid);
  return text === "" ? `it ended with code ${code} and printed nothing` : text;
}
