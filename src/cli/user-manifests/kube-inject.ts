import type { Command } from "commander";
import { messageOf, ownField, SerinError, stringOf, textAt, userError } from "../../base/index.ts";
import { fieldTypes, withFieldTypes } from "../../base/field-types/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { namespaceKind, type Pod } from "../../api/kubernetes/index.ts";
import { injectPod, podFaults, type InjectionContext } from "../../inject/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, namespaceOf, revisionFlag, type CommonFlags } from "../flags.ts";
import { readYaml } from "../installation/install-input.ts";
import { sourceName, writeUserFile } from "../user-file.ts";
import { injectionContext, placesInCluster, readInjectionTexts, type InjectionTexts } from "./injection-source.ts";

interface InjectFlags extends CommonFlags {
  readonly filename?: string;
  readonly output?: string;
  readonly revision?: string;
  readonly injectConfigFile?: string;
  readonly meshConfigFile?: string;
  readonly valuesFile?: string;
}

export function kubeInjectCommand(program: Command, context: CliContext): void {
  revisionFlag(program.command("kube-inject"))
    .description("add the sidecar to the pods and workloads of a file; other objects stay unchanged")
    .option("-f, --filename <file>", "a YAML file; - is standard input")
    .option("-o, --output <file>", "the output file (default: standard output)")
    .option(
      "--injectConfigFile <file>",
      "a file with the key config of the ConfigMap istio-sidecar-injector; replaces the cluster's",
    )
    .option("--meshConfigFile <file>", "a file with the mesh config; replaces the cluster's")
    .option(
      "--valuesFile <file>",
      "a file with the key values of the ConfigMap istio-sidecar-injector; replaces the cluster's",
    )
    .action(async (flags: InjectFlags) => await kubeInject(flags, context));
}

const templatePaths: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};

async function kubeInject(flags: InjectFlags, context: CliContext): Promise<void> {
  if (flags.filename === undefined)
    throw userError("argument-missing", "filename not specified (see --filename or -f)", {
      hint: `${context.programName} kube-inject -f <file> | kubectl apply -f -`,
    });
  const { stringify } = await import("yaml");
  const objects = await readYaml(flags.filename, context);
  if (objects.length === 0) context.err(`! ${sourceName(flags.filename)} contains no objects\n`);
  for (const object of objects) refuseWrongTypes(object, sourceName(flags.filename));
  const { injection, client } = await injectionOf(flags, context);
  const labels = new NamespaceLabels(client);
  const results: string[] = [];
  for (const object of objects)
    results.push(
      stringify(
        await injectObject(object, await namespaceOfObject(object, flags, context), labels, injection, context),
        writtenForKubernetes,
      ),
    );
  const text = results.join("---\n");
  if (flags.output === undefined) context.out(text);
  else await writeUserFile(flags.output, text);
}

async function injectionOf(
  flags: InjectFlags,
  context: CliContext,
): Promise<{ readonly injection: InjectionContext; readonly client: KubeClient | undefined }> {
  // Scripts write `--revision=` for the default revision.
  const revision = flags.revision === undefined || flags.revision === "" ? "default" : flags.revision;
  const namespace = istioNamespaceOf(flags);
  const read = async (file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : await context.readFile(file);
  const own: InjectionTexts = {
    config: await read(flags.injectConfigFile),
    values: await read(flags.valuesFile),
    mesh: await read(flags.meshConfigFile),
  };
  // With all three files, the command needs no cluster, and there may be none.
  const client =
    own.config !== undefined && own.values !== undefined && own.mesh !== undefined
      ? undefined
      : await context.connect(flags);
  const found = client === undefined ? own : await readInjectionTexts(client, revision, namespace);
  const texts = {
    config: own.config ?? found.config,
    values: own.values ?? found.values,
    mesh: own.mesh ?? found.mesh,
  };
  const inCluster = placesInCluster(revision, namespace);
  const places = {
    config: flags.injectConfigFile ?? inCluster.config,
    values: flags.valuesFile ?? inCluster.values,
    mesh: flags.meshConfigFile ?? inCluster.mesh,
  };
  return { injection: await injectionContext({ texts, places }, revision, namespace, client, context), client };
}

async function namespaceOfObject(
  { metadata }: UntypedObject,
  flags: InjectFlags,
  context: CliContext,
): Promise<string> {
  return metadata?.namespace ?? (await namespaceOf(flags, context).catch(() => "default"));
}

/** The labels of namespaces. Reads each namespace once. A namespace that does not exist has no labels. */
class NamespaceLabels {
  readonly #client: KubeClient | undefined;
  readonly #known = new Map<string, Promise<Readonly<Record<string, string>>>>();

  constructor(client: KubeClient | undefined) {
    this.#client = client;
  }

  async of(name: string): Promise<Readonly<Record<string, string>>> {
    const known =
      this.#known.get(name) ?? this.#client?.get(namespaceKind, name).then((found) => found?.metadata.labels ?? {});
    if (known === undefined) return {};
    this.#known.set(name, known);
    return await known;
  }
}

async function injectObject(
  object: UntypedObject,
  namespace: string,
  labels: NamespaceLabels,
  injection: InjectionContext,
  context: CliContext,
): Promise<UntypedObject> {
  if (object.kind === "List") {
    const items = Reflect.get(object, "items") as readonly (UntypedObject | null)[] | undefined;
    return {
      ...object,
      items: await Promise.all(
        (items ?? [])
          .filter((item) => item !== null)
          .map(
            async (item) => await injectObject(item, item.metadata?.namespace ?? namespace, labels, injection, context),
          ),
      ),
    };
  }
  const path = ownField(templatePaths, object.kind ?? "");
  if (path === undefined) return object;
  const copy = structuredClone(object);
  const parent = path
    .slice(0, -1)
    .reduce<unknown>(
      (value, field) => (typeof value === "object" && value !== null ? Reflect.get(value, field) : undefined),
      copy,
    );
  const last = path.at(-1);
  const pod = (
    last === undefined ? copy : typeof parent === "object" && parent !== null ? Reflect.get(parent, last) : undefined
  ) as Pod | undefined;
  if (pod?.spec === undefined) return object;
  const name = nameOf(object);
  const [fault] = podFaults(pod);
  if (fault !== undefined)
    throw userError(
      "injection-refused",
      `${name} cannot be injected: ${[...path, fault.path].join(".")} ${fault.message}`,
      { hint: "correct the field; the API server would refuse it too" },
    );
  const template = { pod, name, namespace, namespaceLabels: await labels.of(namespace) };
  const injected = injectTemplate(template, injection, context);
  if (last === undefined) return injected as UntypedObject;
  Reflect.set(parent as object, last, injected);
  return copy;
}

const { list, object: objectOf, text } = fieldTypes;
const metadata = objectOf({ name: text, generateName: text, namespace: text });
const objectFields = { kind: text, metadata, items: list({ kind: text, metadata }) };

function refuseWrongTypes(object: UntypedObject, file: string): void {
  const [fault] = withFieldTypes(object, objectFields).faults;
  if (fault !== undefined)
    throw userError("file-invalid", `${file}: ${nameOf(object)}: ${fault.path} ${fault.message}`);
}

function nameOf({ kind, metadata: found }: UntypedObject): string {
  const [kindText, name] = [stringOf(kind), textAt(found, "name") ?? textAt(found, "generateName") ?? ""];
  return `${kindText === "" ? "an object" : kindText} ${name}`.trim();
}

/** A pod, or the pod template of a workload, with the facts that decide whether and how it is injected. */
interface InjectedTemplate {
  readonly pod: Pod;
  /** The kind and name of the object in the file, which the template belongs to. */
  readonly name: string;
  readonly namespace: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
}

function injectTemplate(
  { pod, name, namespace, namespaceLabels }: InjectedTemplate,
  injection: InjectionContext,
  context: CliContext,
): Pod {
  try {
    const outcome = injectPod({ pod: { ...pod, metadata: pod.metadata ?? {} }, namespace, namespaceLabels }, injection);
    if (outcome.kind === "injected") {
      for (const warning of outcome.warnings) context.err(`! ${name}: ${warning}\n`);
      return outcome.pod;
    }
    context.err(`! ${name} stays unchanged: ${outcome.reason}\n`);
    return pod;
  } catch (cause) {
    if (!(cause instanceof SerinError)) throw cause;
    throw userError("injection-refused", `${name} cannot be injected: ${messageOf(cause)}`, { cause });
  }
}
