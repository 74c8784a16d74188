import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "../../../api/kubernetes/index.ts";
import type { ResolvedImage } from "../../images/index.ts";
import { buildContainerRoot } from "../containers/container-root.ts";
import { terminationMessage } from "../containers/termination-message.ts";
import type { ContainerRights } from "../containers/starter.ts";
import type { PlaceBelow } from "../place-below.ts";
import { imageScripts, releaseMounts, volumeMounts } from "./container-mounts.ts";
import type { PodHost } from "./pod-host.ts";

const rootSizeMb = 512;
const terminationLog = "termination-log";

/** What the root file system of a run depends on, besides the image and the spec. */
export interface RootOptions {
  readonly rights: ContainerRights;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Whether the pod shares the node's PID namespace. */
  readonly hostPid: boolean;
}

/** The files of one container: the root file system of its run, its termination message, and the logs of its runs. */
export class ContainerFiles {
  readonly #spec: Container;
  readonly #host: PodHost;

  constructor(spec: Container, host: PodHost) {
    this.#spec = spec;
    this.#host = host;
  }

  /** The directory for files of the container's runs, in the lab's tmpfs. */
  get directory(): string {
    return join(this.#host.directories.memory, "containers", this.#spec.name);
  }

  /** The log of a run. Runs are numbered from 0. */
  logOf(run: number): PlaceBelow {
    const { hostRoot, logs } = this.#host.directories;
    return { root: hostRoot, path: join(logs, this.#spec.name, `${run}.log`) };
  }

  /** Builds the file system of a run. Returns a descriptor of its mount namespace. The caller closes it. */
  buildRoot(image: ResolvedImage, { rights, environment, workingDirectory, hostPid }: RootOptions): number {
    const host = this.#host;
    const workDirectory = join(this.directory, "root");
    mkdirSync(workDirectory, { recursive: true });
    writeFileSync(this.#terminationLog, "");
    chmodSync(this.#terminationLog, 0o666);
    return buildContainerRoot({
      workDirectory,
      mounts: [
        ...releaseMounts(image, host, rights),
        ...volumeMounts(this.#spec, host, environment),
        {
          source: this.#terminationLog,
          target: this.#spec.terminationMessagePath ?? "/dev/termination-log",
          readOnly: false,
        },
      ],
      scripts: imageScripts(image),
      etcFiles: host.etcFiles(),
      hostProc: hostPid,
      workingDirectory,
      readOnlyRoot: this.#spec.securityContext?.readOnlyRootFilesystem === true,
      sizeMb: rootSizeMb,
    });
  }

  terminationMessage(exitCode: number, run: number): string {
    return terminationMessage({
      container: this.#spec,
      exitCode,
      message: { root: this.directory, path: this.#terminationLog },
      log: this.logOf(run),
    });
  }

  get #terminationLog(): string {
    return join(this.directory, terminationLog);
  }
}
