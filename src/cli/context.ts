import type { Duplex } from "node:stream";
import type { Clock, Environment } from "../base/index.ts";
import type { KubeClient, KubeConfig } from "../kube/index.ts";
import type { InstallRequest, RenderedComponent } from "../install/index.ts";
import type { KubernetesObject, UntypedObject } from "../api/index.ts";
import type { Problem, TopicName, Topics } from "../api/dashboard/index.ts";
import type { CheckSpec, CheckStatus, MeshUpgrade } from "../api/serin/index.ts";
import type { UpgradeSteps } from "../preflight/index.ts";

/** The standard channel has the stable kinds and fields. The experimental channel has more. */
export type GatewayApiChannel = "standard" | "experimental";

/** A file of `manifests/crds` with CRDs that a command installs. */
type DefinitionFile = "istio" | "rollout" | "istio-operator" | "banzai";

/**
 * Says what a verb waits for: the missing part of a subject, or undefined once nothing is missing. If the subject is
 * empty, the text says what the verb does at the moment.
 */
export type ReportWait = (subject: string, missing: string | undefined) => void;

/**
 * Verbs of other roles with their flags, and with their own verbs and the flags of these. A flag that takes a value
 * ends with `=`.
 */
export type OtherVerbs = Readonly<
  Record<string, { readonly flags: readonly string[]; readonly verbs: Readonly<Record<string, readonly string[]>> }>
>;

/** Everything outside the process that a verb may use. `cmd` builds it, and tests fake it. */
export interface CliContext {
  readonly env: Environment;
  /** The name under which the program was called: `serin` or `istioctl`. */
  readonly programName: string;
  /** The absolute path of the program, for links to it. */
  readonly executable: string;
  readonly clock: Clock;
  /** The version of the command line's own release. */
  readonly version: string;
  /** Writes to standard output and to standard error without adding a newline. */
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly interactive: boolean;
  /** Standard output is a terminal that wants colour. */
  readonly colour: boolean;
  /** Standard error is a terminal, so progress may be shown there. */
  readonly showsProgress: boolean;
  /** The number of lines that were written to standard error. A text that is redrawn in place must not erase them. */
  readonly errorLines: () => number;
  /** Reports a wait on standard error. */
  readonly waiting: ReportWait;
  /** The current width of the terminal at standard output. Undefined if it is not a terminal. */
  readonly columns: () => number | undefined;
  /** The verbs of other roles, for completion. */
  readonly otherVerbs: OtherVerbs;
  /** Asks a yes-or-no question on the terminal, or reads the answer from standard input. */
  readonly confirm: (question: string) => Promise<boolean>;
  /**
   * A client of the cluster that the flags or the environment name. It reports requests that have had no answer for
   * some seconds.
   */
  readonly connect: (flags: ConnectionFlags, waiting?: ReportWait) => Promise<KubeClient>;
  /** The cluster that the flags or the environment name, and how to reach it. */
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
  /** The text of a file that the user has named, of standard input for `-`. Throws a user error that names the file. */
  readonly readFile: (path: string) => Promise<string>;
  /**
   * The directory of the release with this version: one that the lab has, or this release itself. Undefined if there is
   * none.
   */
  readonly releaseTree: (version: string, flags: ConnectionFlags) => Promise<string | undefined>;
  /** The CRDs of this release in one of its files. */
  readonly customResources: (file: DefinitionFile) => Promise<readonly UntypedObject[]>;
  /** This release's CRDs of one channel of the Gateway API. */
  readonly gatewayApiDefinitions: (channel: GatewayApiChannel) => Promise<readonly UntypedObject[]>;
  readonly installer: Installer;
  /**
   * Runs a check outside of any rollout until it has an answer. The rollout engine's code is passed in, because the two
   * parts must not import each other.
   */
  readonly runCheck?: (flags: ConnectionFlags, request: CheckRequest) => Promise<CheckStatus>;
  /** The steps that the rollout engine would plan for an upgrade now, and the dependents that they do not move. */
  readonly previewUpgrade?: (flags: ConnectionFlags, upgrade: MeshUpgrade) => Promise<UpgradeSteps>;
  /**
   * Reports each change of a view of the mesh until the signal is aborted, at most once a second. The views are those
   * of the dashboard. Views of the same command share their inputs.
   */
  readonly followMesh?: FollowMesh;
  /** Reports keys pressed on the terminal, one at a time. `\u0003` is Ctrl-C. Undefined without a terminal. */
  readonly onKey?: (take: (key: string) => void) => Disposable | undefined;
  /** The height of the terminal. Undefined without a terminal. */
  readonly rows?: () => number | undefined;
  /** Identifies the user of the command line to others who work on the same object: `user@host (pid 12)`. */
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
  /** The user in whose name the server is to act. */
  readonly as?: string;
  readonly asUid?: string;
  readonly asGroup?: readonly string[];
  /** The time for one request to the API server, such as `15s`. */
  readonly kubeclientTimeout?: string;
}

export interface PodRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** The body as JSON. */
  readonly body?: string;
}

export interface CheckRequest {
  readonly spec: CheckSpec;
  /** The groups to compare. Without a canary, the check measures the whole mesh. */
  readonly canary?: CheckedBackend;
  readonly stable?: CheckedBackend;
  readonly withinMs: number;
}

export interface CheckedBackend {
  readonly namespace: string;
  readonly service?: string;
  readonly workload?: string;
}

/** The implementation of `operator`, passed in because the two parts must not import each other. */
export interface Installer {
  apply(options: InstallRequest & { readonly client: KubeClient; readonly clock: Clock }): Promise<void>;
  /**
   * The components that `apply` would write. Without `force`, leaves out objects of which the cluster has a newer
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
    /** Returns whether to keep an object that was found. */
    readonly keeps?: (object: UntypedObject) => boolean;
    readonly onWarning?: (text: string) => void;
    readonly onWait?: ReportWait;
    readonly dryRun?: boolean;
  }): Promise<number>;
}

export interface DashboardOptions {
  readonly istioNamespace: string;
  /** An address of this machine. `localhost` means both loopback addresses. */
  readonly host: string;
  /** The ports to try, in this order. 0 is any free port. */
  readonly ports: readonly number[];
  /** An existing Prometheus, which is queried instead of scraping the proxies. */
  readonly prometheusUrl: string | undefined;
  /** Called with the first address, and with a new one each time an address was used. */
  readonly announce: (url: string, isFirst: boolean) => void;
}
