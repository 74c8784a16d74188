import type { Duplex } from "node:stream";
import type { Clock, Environment } from "../base/index.ts";
import type { KubeClient, KubeConfig } from "../kube/index.ts";
import type { InstallRequest, RenderedComponent } from "../install/index.ts";
import type { KubernetesObject, UntypedObject } from "../api/index.ts";
import type { Problem, TopicName, Topics } from "../api/dashboard/index.ts";
import type { CheckSpec, CheckStatus, MeshUpgrade } from "../api/serin/index.ts";
import type { UpgradeSteps } from "../preflight/index.ts";

export type GatewayApiChannel = "standard" | "experimental";

/** A file of `manifests/crds` with CRDs that a command installs. */
type DefinitionFile = "istio" | "rollout" | "istio-operator" | "banzai";

/**
 * Reports what a verb waits for: the subject and its missing part. Undefined ends the report. An empty subject means
 * that the text says what the verb is doing.
 */
export type ReportWait = (subject: string, missing: string | undefined) => void;

/** The verbs of other roles. Each has flags, and may have verbs with flags. A flag that takes a value ends with `=`. */
export type OtherVerbs = Readonly<
  Record<string, { readonly flags: readonly string[]; readonly verbs: Readonly<Record<string, readonly string[]>> }>
>;

/** Everything outside the process that a verb may use. `src/cmd` builds it, and tests fake it. */
export interface CliContext {
  readonly env: Environment;
  /** The name under which the program was called: `serin` or `istioctl`. */
  readonly programName: string;
  /** The absolute path of the program, to which `alias` links. */
  readonly executable: string;
  readonly clock: Clock;
  readonly version: string;
  /** Writes to standard output. Like `err`, adds no newline. */
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly interactive: boolean;
  /** Whether standard output is a terminal that shows colours. */
  readonly colour: boolean;
  /** Whether standard error is a terminal, which may show progress. */
  readonly showsProgress: boolean;
  /** How many lines were written to standard error. A display that redraws itself in place must not erase them. */
  readonly errorLines: () => number;
  readonly waiting: ReportWait;
  /** The current width of the terminal at standard output. Undefined if it is not a terminal. */
  readonly columns: () => number | undefined;
  readonly otherVerbs: OtherVerbs;
  /** Asks a yes-or-no question on the terminal, or reads the answer from standard input. */
  readonly confirm: (question: string) => Promise<boolean>;
  /**
   * Returns a client of the cluster that the flags or the environment name. The client reports requests that have had
   * no answer for some seconds.
   */
  readonly connect: (flags: ConnectionFlags, waiting?: ReportWait) => Promise<KubeClient>;
  readonly kubeConfig: (flags: ConnectionFlags) => Promise<KubeConfig>;
  /** The namespace of the kubeconfig's context, which is the default. */
  readonly defaultNamespace: (flags: ConnectionFlags) => Promise<string>;
  /** Sends one HTTP request to a loopback port of a pod by port-forward. */
  readonly requestOfPod: (
    flags: ConnectionFlags,
    request: PodRequest,
  ) => Promise<{ readonly status: number; readonly text: string }>;
  /** Opens a byte stream to a port of a pod by port-forward. Each call opens a new connection. */
  readonly streamOfPod: (
    flags: ConnectionFlags,
    target: { readonly namespace: string; readonly pod: string; readonly port: number },
  ) => Promise<Duplex>;
  /**
   * Serves the dashboard from this process, with the user's own kubeconfig, until interrupted. `announce` gets a URL
   * that admits one browser.
   */
  readonly serveDashboard: (flags: ConnectionFlags, options: DashboardOptions) => Promise<void>;
  /** Opens a page in the user's browser. False if that is not possible. */
  readonly openBrowser: (url: string) => Promise<boolean>;
  /** Returns the text of a file, or of standard input for `-`. Throws a user error that names the file. */
  readonly readFile: (path: string) => Promise<string>;
  /**
   * Returns the directory of the release with this version: this release, or one that the lab has. Undefined if there
   * is none.
   */
  readonly releaseTree: (version: string, flags: ConnectionFlags) => Promise<string | undefined>;
  readonly customResources: (file: DefinitionFile) => Promise<readonly UntypedObject[]>;
  readonly gatewayApiDefinitions: (channel: GatewayApiChannel) => Promise<readonly UntypedObject[]>;
  readonly installer: Installer;
  /**
   * Runs a check outside a rollout until it has passed or failed. The rollout engine implements it. It is passed in,
   * because `cli` must not import `rollout`.
   */
  readonly runCheck?: (flags: ConnectionFlags, request: CheckRequest) => Promise<CheckStatus>;
  /** The steps that the rollout engine would plan for an upgrade now, and the dependents that the steps do not move. */
  readonly previewUpgrade?: (flags: ConnectionFlags, upgrade: MeshUpgrade) => Promise<UpgradeSteps>;
  /**
   * Reports each change of one of the dashboard's views of the mesh, at most once a second, until the signal is
   * aborted. The views of one command share their inputs.
   */
  readonly followMesh?: FollowMesh;
  /** Reports keys pressed on the terminal, one at a time. `\u0003` is Ctrl-C. Undefined without a terminal. */
  readonly onKey?: (take: (key: string) => void) => Disposable | undefined;
  readonly rows?: () => number | undefined;
  /** Identifies this user to others who work on the same object: `user@host (pid 12)`. */
  readonly identity: string;
  readonly signal: AbortSignal;
}

export type FollowMesh = <Name extends TopicName>(
  flags: ConnectionFlags,
  topic: { readonly name: Name; readonly parameters: Topics[Name]["parameters"] },
  sink: { readonly view: (view: Topics[Name]["view"]) => void; readonly problem: (problem: Problem) => void },
  signal: AbortSignal,
) => Promise<void>;

export interface ConnectionFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** The user whom the API server impersonates. */
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroup?: readonly string[];
  /** The time limit of each request to the API server, such as `15s`. */
  readonly kubeclientTimeout?: string;
}

export interface PodRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** JSON. */
  readonly body?: string;
}

export interface CheckRequest {
  readonly spec: CheckSpec;
  /** The backends whose measurements the check compares. Without `canary`, it measures the whole mesh. */
  readonly canary?: CheckedBackend;
  readonly stable?: CheckedBackend;
  readonly withinMs: number;
}

export interface CheckedBackend {
  readonly namespace: string;
  readonly service?: string;
  readonly workload?: string;
}

/** What the part `operator` implements. It is passed in, because `cli` must not import `operator`. */
export interface Installer {
  apply(options: InstallRequest & { readonly client: KubeClient; readonly clock: Clock }): Promise<void>;
  /**
   * The components that `apply` would write. Without `force`, leaves out objects that the cluster has in a newer
   * version.
   */
  keepNewer(
    client: KubeClient,
    components: readonly RenderedComponent[],
    force: boolean,
  ): Promise<{ readonly components: readonly RenderedComponent[]; readonly notes: readonly string[] }>;
  /** Describes what applying the object would do. */
  plan(client: KubeClient, object: UntypedObject): Promise<"created" | "changed" | "unchanged">;
  verify(
    client: KubeClient,
    objects: readonly UntypedObject[],
  ): Promise<{
    readonly good: readonly string[];
    readonly bad: readonly string[];
    readonly absent: number;
    readonly definitions: number;
    readonly deployments: number;
  }>;
  remove(options: {
    readonly client: KubeClient;
    readonly selection:
      | { readonly revision: string; readonly owner?: string }
      | { readonly labelSelector: string; readonly revision?: string }
      | "everything";
    readonly onRemoved: (object: KubernetesObject) => void;
    /** Whether to keep an object instead of removing it. */
    readonly keeps?: (object: UntypedObject) => boolean;
    readonly onWarning?: (text: string) => void;
    readonly onWait?: ReportWait;
    readonly dryRun?: boolean;
  }): Promise<number>;
}

export interface DashboardOptions {
  readonly istioNamespace: string;
  /** An address of this machine. `localhost` means 127.0.0.1 and ::1. */
  readonly host: string;
  /** The ports to try, in this order. 0 is any free port. */
  readonly ports: readonly number[];
  /** An existing Prometheus, which is queried instead of scraping the proxies. */
  readonly prometheusUrl: string | undefined;
  /** Called with the first URL, and with the next one whenever a browser has used the last. */
  readonly announce: (url: string, isFirst: boolean) => void;
}
