import { systemClock, userError } from "../../base/index.ts";
import type { KindDefinition, KubernetesObject, ObjectMeta, UntypedObject } from "../../api/index.ts";
import type { RenderedComponent } from "../../install/index.ts";
import type { KubeClient, KubeConfig, ListOptions } from "../../kube/index.ts";
import type { CliContext, DashboardOptions, GatewayApiChannel, PodRequest } from "../context.ts";

export interface FakeCluster {
  readonly objects?: Readonly<Record<string, readonly KubernetesObject[]>>;
  /** The answers to GET requests through the API server, by path. */
  readonly answers?: Readonly<Record<string, string>>;
  /** The HTTP statuses of these answers. Absent means 200. */
  readonly statuses?: Readonly<Record<string, number>>;
  /** The errors of reading or writing objects, by kind. */
  readonly refusals?: Readonly<Record<string, Error>>;
  /** The errors of reading one object, by kind. Lists of the kind succeed. */
  readonly getRefusals?: Readonly<Record<string, Error>>;
  /**
   * Returns the error of a list of one namespace, or of all if it is undefined. Returns undefined if the user may list.
   */
  readonly listRefusal?: (kind: KindDefinition, namespace: string | undefined) => Error | undefined;
  /** The errors of creating objects, by kind. */
  readonly unwritable?: Readonly<Record<string, Error>>;
  /** The answers of pods, by `METHOD pod.namespace:port/path`. */
  readonly pods?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly installed?: readonly UntypedObject[];
  /** The error of `installer.remove`, after it has found the objects. */
  readonly removalFault?: Error;
  /** The kubeconfig's fields that differ from the fake's own. */
  readonly kubeConfig?: Partial<KubeConfig>;
  readonly confirms?: boolean;
}

interface Removal {
  readonly selection: unknown;
  readonly keeps?: (object: UntypedObject) => boolean;
  readonly onRemoved: (object: KubernetesObject) => void;
  readonly dryRun?: boolean;
}

/** A command line's context with the given cluster, files and terminal. Records the output. */
export class FakeContext implements CliContext {
  readonly env = {};
  readonly programName = "serin";
  readonly executable: string = "/opt/serin/bin/serin";
  readonly clock = { ...systemClock, nowMs: () => Date.parse("2026-06-01T00:00:00Z") };
  readonly version = "1.18.1";
  readonly interactive = false;
  readonly colour: boolean = false;
  readonly showsProgress: boolean = false;
  readonly columns = (): number | undefined => undefined;
  readonly otherVerbs = { cluster: { flags: [], verbs: { create: ["--name=", "--autoscale"], delete: ["--name="] } } };
  readonly signal = new AbortController().signal;
  readonly applied: string[] = [];
  readonly appliedObjects: KubernetesObject[] = [];
  readonly removed: unknown[] = [];
  readonly asked: string[] = [];
  output = "";
  errors = "";
  readonly #cluster: FakeCluster | undefined;

  constructor(cluster?: FakeCluster) {
    this.#cluster = cluster;
  }

  readonly out = (text: string): void => {
    this.output += text;
  };
  readonly err = (text: string): void => {
    this.errors += text;
  };
  readonly errorLines = (): number => this.errors.split("\n").length - 1;
  readonly waiting = (): void => undefined;
  readonly confirm = async (text: string): Promise<boolean> => {
    this.asked.push(text);
    return this.#cluster?.confirms ?? false;
  };
  readonly kubeConfig = async () =>
    await Promise.resolve({
      server: "https://127.0.0.1:6443",
      context: "test",
      namespace: "default",
      ...this.#cluster?.kubeConfig,
    });
  readonly connect = async (): Promise<KubeClient> => {
    if (this.#cluster === undefined) throw new Error("no cluster");
    return fakeClient(this.#cluster, this.applied, this.appliedObjects);
  };
  readonly defaultNamespace = async (): Promise<string> => "default";
  readonly requestOfPod = async (
    _flags: unknown,
    { method, pod, namespace, port, path }: PodRequest,
  ): Promise<{ status: number; text: string }> => {
    const text = this.#cluster?.pods?.[`${method} ${pod}.${namespace}:${port}${path}`];
    return text === undefined ? { status: 404, text: "not found" } : { status: 200, text };
  };
  readonly streamOfPod = async (): Promise<never> => {
    throw new Error("no stream");
  };
  readonly served: unknown[] = [];
  readonly serveDashboard = async (_flags: unknown, { announce, ...options }: DashboardOptions): Promise<void> => {
    this.served.push(options);
    announce("http://localhost:20001/enter?secret=s", true);
  };
  readonly openBrowser = async (): Promise<boolean> => false;
  readonly readFile = async (path: string): Promise<string> => {
    const text = this.#cluster?.files?.[path];
    if (text === undefined)
      throw userError("file-unreadable", `cannot read ${path}: there is no such file or directory`, {
        reason: "ENOENT",
      });
    return text;
  };
  readonly releaseTree = async (): Promise<undefined> => undefined;
  readonly gatewayApi: { standard: UntypedObject[]; experimental: UntypedObject[] } = {
    standard: [],
    experimental: [],
  };
  readonly gatewayApiDefinitions = async (channel: GatewayApiChannel): Promise<readonly UntypedObject[]> =>
    this.gatewayApi[channel];
  readonly customResources = async () => [];
  readonly identity = "tester@here (pid 1)";
  readonly installer = {
    apply: async (): Promise<void> => undefined,
    keepNewer: async (
      _client: KubeClient,
      components: readonly RenderedComponent[],
      _force: boolean,
    ): Promise<{ components: readonly RenderedComponent[]; notes: readonly string[] }> => ({ components, notes: [] }),
    plan: async () => "created" as const,
    verify: async () => ({ good: [], bad: [], absent: 0, definitions: 0, deployments: 0 }),
    remove: async ({ selection, keeps, onRemoved, dryRun }: Removal): Promise<number> => {
      this.removed.push(dryRun === true ? { dryRun, selection } : selection);
      for (const object of this.#cluster?.installed ?? []) if (keeps?.(object) !== true) onRemoved(object);
      if (this.#cluster?.removalFault !== undefined) throw this.#cluster.removalFault;
      return this.removed.length;
    },
  };
}

/** A client with the operations that verbs use. Its lists understand only simple selectors. */
function fakeClient(cluster: FakeCluster, applied: string[], appliedObjects: KubernetesObject[]): KubeClient {
  const { objects = {}, answers = {}, statuses = {} } = cluster;
  const { refusals = {}, getRefusals = {}, listRefusal, unwritable = {} } = cluster;
  const check = ({ kind }: KindDefinition): void => {
    const refusal = refusals[kind];
    if (refusal !== undefined) throw refusal;
  };
  const client: Pick<KubeClient, "get" | "list" | "create" | "apply" | "patchMerge" | "delete" | "raw"> = {
    get: async <Value extends KubernetesObject>(kind: KindDefinition<Value>, name: string, namespace?: string) => {
      check(kind);
      const refusal = getRefusals[kind.kind];
      if (refusal !== undefined) throw refusal;
      return (objects[kind.kind] ?? []).find(
        ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
      ) as Value | undefined;
    },
    create: async (kind, object, { dryRun } = {}) => {
      const refusal = unwritable[kind.kind];
      if (refusal !== undefined) throw refusal;
      if (dryRun !== true) applied.push(`${kind.kind}/${object.metadata.name ?? ""}`);
      return object;
    },
    apply: async (kind, object) => {
      check(kind);
      applied.push(`${kind.kind}/${object.metadata.name ?? ""}`);
      appliedObjects.push(object);
      return object;
    },
    patchMerge: async <Value extends KubernetesObject>(kind: KindDefinition<Value>, name: string) => {
      applied.push(`patch ${kind.kind}/${name}`);
      return { metadata: { name } } as Value;
    },
    delete: async (kind, name) => void applied.push(`delete ${kind.kind}/${name}`),
    list: async <Value extends KubernetesObject>(
      kind: KindDefinition<Value>,
      { namespace, labelSelector = "" }: ListOptions = {},
    ) => {
      check(kind);
      const refusal = listRefusal?.(kind, namespace);
      if (refusal !== undefined) throw refusal;
      const items = (objects[kind.kind] ?? []).filter(
        ({ metadata }) =>
          (namespace === undefined || metadata.namespace === namespace) && hasLabels(metadata, labelSelector),
      );
      return { items: items as unknown as readonly Value[], resourceVersion: "1" };
    },
    raw: async (_method, path) => {
      const text = answers[path];
      return text === undefined
        ? { status: 404, headers: {}, text: "not found" }
        : { status: statuses[path] ?? 200, headers: {}, text };
    },
  };
  return client as KubeClient;
}

/** Whether the labels match a selector that consists of keys and equalities, such as `app=web,istio.io/rev`. */
function hasLabels({ labels }: ObjectMeta, selector: string): boolean {
  const wanted = selector.split(",").filter((part) => part !== "");
  return wanted.every((part) => {
    const [key = "", value] = part.split("=");
    return value === undefined ? labels?.[key] !== undefined : labels?.[key] === value;
  });
}
