import type { Pod } from "../../../api/kubernetes/index.ts";
import { messageOf, type Logger } from "../../../base/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import type { UnmetFields } from "../containers/container-rights.ts";
import type { NetworkAttachment } from "../network/network-attachment.ts";
import type { PodAddresses } from "../network/pod-network.ts";
import { hostnameOf } from "./pod-etc.ts";
import type { PodRecord } from "./pod-record.ts";
import { adoptSandbox, createSandbox, destroySandbox, type PodSandbox } from "./pod-sandbox.ts";

export interface SandboxServices {
  readonly nodeName: string;
  readonly log: Logger;
  readonly addresses: PodAddresses;
  readonly attachment: NetworkAttachment;
  readonly unmet: UnmetFields;
}

export interface SandboxOwner {
  readonly pod: () => Pod;
  readonly event: (note: EventNote) => void;
  /** Stores the new sandbox, so that a restarted process of the node finds it. */
  readonly save: () => void;
}

const retryMs = 500;
/** The pause before the next attempt to attach. A network agent that restarts is usually back within this time. */
const attachRetryMs = 100;

/** The sandbox of one pod, with its address. The node's CNI plugins attach it to the network. */
export class AttachedSandbox {
  readonly #services: SandboxServices;
  readonly #owner: SandboxOwner;
  #sandbox: PodSandbox | undefined;
  #attached = false;

  constructor(services: SandboxServices, owner: SandboxOwner) {
    this.#services = services;
    this.#owner = owner;
  }

  get sandbox(): PodSandbox | undefined {
    return this.#sandbox;
  }

  /** Whether the plugins have added the sandbox to the network. Also true if it needs no plugins. */
  get attached(): boolean {
    return this.#attached;
  }

  /**
   * Creates the sandbox and attaches it, unless that is done. Returns the time in milliseconds until the next attempt,
   * or undefined if the sandbox is attached.
   */
  async ensure(): Promise<number | undefined> {
    if (this.#sandbox === undefined && !this.#create()) return retryMs;
    return this.#sandbox === undefined || (await this.#attach(this.#sandbox)) ? undefined : attachRetryMs;
  }

  /** Takes over the sandbox that an earlier process of the node created, if it still exists. */
  adopt(record: PodRecord): void {
    const { addresses } = this.#services;
    this.#attached = record.attached;
    if (record.address !== undefined) addresses.adopt(record.address);
    if (record.init !== undefined) this.#sandbox = adoptSandbox(record.init, record.address);
    if (this.#sandbox === undefined && record.address !== undefined) addresses.release(record.address);
  }

  /**
   * Runs the plugins that remove the sandbox from the network. A failure is only logged, because the pod's end must not
   * wait for it.
   */
  async detach(): Promise<void> {
    const sandbox = this.#sandbox;
    if (!this.#attached || sandbox?.address === undefined) return;
    await this.#services.attachment
      .remove({ pod: this.#owner.pod(), initPid: sandbox.init.pid, ip: sandbox.address.ip })
      .catch((error: unknown) =>
        this.#services.log.debug("the network agent could not remove a pod", { error: messageOf(error) }),
      );
  }

  dismantle(): void {
    const sandbox = this.#sandbox;
    if (sandbox === undefined) return;
    this.#sandbox = undefined;
    destroySandbox(sandbox);
    if (sandbox.address !== undefined) this.#services.addresses.release(sandbox.address);
  }

  #create(): boolean {
    const { addresses, nodeName, unmet } = this.#services;
    const pod = this.#owner.pod();
    const address = pod.spec?.hostNetwork === true ? undefined : addresses.take();
    const sysctls = Object.fromEntries(
      (pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]),
    );
    try {
      this.#sandbox = createSandbox({ hostname: hostnameOf(pod, nodeName), address, sysctls });
    } catch (error) {
      if (address !== undefined) addresses.release(address);
      this.#failed(messageOf(error));
      return false;
    }
    for (const note of unmet.notesFor(pod)) this.#owner.event(note);
    this.#owner.save();
    return true;
  }

  async #attach(sandbox: PodSandbox): Promise<boolean> {
    const { attachment } = this.#services;
    if (this.#attached || sandbox.address === undefined || !attachment.installed) {
      this.#attached = true;
      return true;
    }
    try {
      await attachment.add({ pod: this.#owner.pod(), initPid: sandbox.init.pid, ip: sandbox.address.ip });
      this.#attached = true;
      return true;
    } catch (error) {
      // Report the failure as a failure of the sandbox, as a kubelet does: its container runtime sets up both together.
      this.#failed(`the pod's network could not be set up: ${messageOf(error)}`);
      return false;
    }
  }

  #failed(problem: string): void {
    this.#owner.event({
      type: "Warning",
      reason: "FailedCreatePodSandBox",
      message: `Failed to create pod sandbox: ${problem}`,
    });
  }
}
