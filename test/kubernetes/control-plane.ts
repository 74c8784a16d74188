// etcd, API server, controller manager and scheduler, as processes in the first node's network namespace.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { nodeAddress, podRange, serviceRange, type ClusterFiles, type Programs } from "./cluster-layout.ts";
import { cpuShares, makeCpuGroup } from "./isolation.ts";
import { networkOf } from "./network.ts";

const etcdUrl = "http://127.0.0.1:2379";
const etcdPeerUrl = "http://127.0.0.1:2380";
const issuer = "https://kubernetes.default.svc.cluster.local";

export const controlPlanePrograms = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;
export type ControlPlaneProgram = (typeof controlPlanePrograms)[number];

export class ControlPlane {
  readonly #files: ClusterFiles;
  readonly #programs: Programs;
  readonly #cgroup: string;
  readonly #running = new Map<ControlPlaneProgram, ChildProcess>();

  constructor(files: ClusterFiles, programs: Programs, cgroup: string) {
    this.#files = files;
    this.#programs = programs;
    this.#cgroup = `${cgroup}/control-plane`;
  }

  start(program: ControlPlaneProgram, moreFlags: readonly string[] = []): void {
    if (this.#running.has(program)) return;
    const log = openSync(join(this.#files.logs, `${program}.log`), "a");
    const path = program === "etcd" ? this.#programs.etcd : join(this.#programs.kubernetes, program);
    const joining = `echo 0 > ${makeCpuGroup(this.#cgroup, cpuShares.controlPlane)}; exec "$0" "$@"`;
    const command = ["-c", joining, "nsenter", `--net=${networkOf(1)}`, path, ...this.#flags(program)];
    const child = spawn("sh", [...command, ...moreFlags], { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#running.set(program, child);
    child.on("close", () => {
      if (this.#running.get(program) === child) this.#running.delete(program);
    });
  }

  async stop(program: ControlPlaneProgram, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#running.get(program);
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.on("close", resolve));
    child.kill(signal);
    await ended;
  }

  #flags(program: ControlPlaneProgram): string[] {
    const { kubeconfigs, pki } = this.#files;
    const kubeconfig = (name: string): string[] =>
      ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(
        (flag) => `--${flag}=${join(kubeconfigs, `${name}.conf`)}`,
      );
    switch (program) {
      case "etcd":
        return this.#etcdFlags();
      case "kube-apiserver":
        return this.#apiServerFlags();
      case "kube-controller-manager":
        return [
          ...kubeconfig("controller-manager"),
          `--service-account-private-key-file=${join(pki, "service-accounts.key")}`,
          `--root-ca-file=${join(pki, "ca.crt")}`,
          `--cluster-signing-cert-file=${join(pki, "ca.crt")}`,
          `--cluster-signing-key-file=${join(pki, "ca.key")}`,
          "--use-service-account-credentials=true",
          `--cluster-cidr=${podRange}`,
          "--leader-elect=false",
          // Longer than the API server is away in a case. Otherwise, a controller that is back before the kubelets
          // would declare all nodes and their pods lost.
          "--node-monitor-grace-period=40s",
        ];
      case "kube-scheduler":
        return [...kubeconfig("scheduler"), "--leader-elect=false"];
      default:
        return program satisfies never;
    }
  }

  #etcdFlags(): string[] {
    const data = join(this.#files.scratch, "etcd");
    mkdirSync(data, { recursive: true, mode: 0o700 });
    return [
      `--data-dir=${data}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${etcdPeerUrl}`,
      `--initial-advertise-peer-urls=${etcdPeerUrl}`,
      `--initial-cluster=default=${etcdPeerUrl}`,
      "--unsafe-no-fsync",
    ];
  }

  #apiServerFlags(): string[] {
    const file = (name: string): string => join(this.#files.pki, name);
    return [
      `--advertise-address=${nodeAddress(1)}`,
      "--secure-port=6443",
      `--etcd-servers=${etcdUrl}`,
      "--allow-privileged=true",
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      `--client-ca-file=${file("ca.crt")}`,
      `--tls-cert-file=${file("apiserver.crt")}`,
      `--tls-private-key-file=${file("apiserver.key")}`,
      `--kubelet-client-certificate=${file("kubelet-client.crt")}`,
      `--kubelet-client-key=${file("kubelet-client.key")}`,
      "--kubelet-preferred-address-types=InternalIP",
      `--service-account-issuer=${issuer}`,
      `--service-account-key-file=${file("service-accounts.pub")}`,
      `--service-account-signing-key-file=${file("service-accounts.key")}`,
      `--service-cluster-ip-range=${serviceRange}`,
      `--requestheader-client-ca-file=${file("front-proxy-ca.crt")}`,
      "--requestheader-allowed-names=front-proxy-client",
      "--requestheader-extra-headers-prefix=X-Remote-Extra-",
      "--requestheader-group-headers=X-Remote-Group",
      "--requestheader-username-headers=X-Remote-User",
      `--proxy-client-cert-file=${file("front-proxy-client.crt")}`,
      `--proxy-client-key-file=${file("front-proxy-client.key")}`,
    ];
  }
}
