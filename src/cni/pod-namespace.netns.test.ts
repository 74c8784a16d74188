import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Pod } from "../api/kubernetes/index.ts";
import { check, libc } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import { PodNamespaceFinder } from "./pod-namespace.ts";
import { TestNode } from "./testing/test-node.ts";

requireOwnNetwork();

const bind = 4096;
const detach = 2;

/**
 * Makes a fake host. Its /var/run/netns contains files on which network namespaces are mounted, as with containerd and
 * CRI-O.
 */
function hostWith(context: TestContext): {
  readonly node: TestNode;
  readonly root: string;
  readonly mount: (pid: number, place: string) => void;
} {
  const root = mkdtempSync(join(tmpdir(), "serin-netns-"));
  const node = new TestNode();
  const mounted: string[] = [];
  context.after(() => {
    for (const path of mounted) libc().umount2(path, detach);
    node.close();
    rmSync(root, { recursive: true, force: true });
  });
  return {
    node,
    root,
    mount: (pid, place) => {
      const path = join(root, place);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "");
      check("mount", libc().mount(`/proc/${pid}/ns/net`, path, null, bind, null));
      mounted.push(path);
    },
  };
}

test("a namespace is found by the file that the container runtime mounted it on", (context) => {
  const { node, root, mount } = hostWith(context);
  const pod = node.addPod();
  mount(pod.initPid, "var/run/netns/cni-1");
  const byPath = new PodNamespaceFinder({ hostProc: "/proc", hostRoot: root });
  using found = byPath.openPath("/var/run/netns/cni-1");
  assert.equal(found.inode, pod.namespace.inode);
  // minikube's runtime uses another directory on the host, which is mounted at the same path.
  const byName = new PodNamespaceFinder({ hostProc: "/proc", namespaceDirectory: join(root, "var/run/netns") });
  using named = byName.openPath("/var/run/docker/netns/cni-1");
  assert.equal(named.inode, pod.namespace.inode);
  using process = byPath.openPath(`/proc/${pod.initPid}/ns/net`);
  assert.equal(process.inode, pod.namespace.inode);
});

test("a path that is not a pod's namespace is rejected, and the error names it", (context) => {
  const { root, mount } = hostWith(context);
  mount(process.pid, "var/run/netns/host");
  writeFileSync(join(root, "var/run/netns/plain"), "");
  const finder = new PodNamespaceFinder({ hostProc: "/proc", hostRoot: root });
  assert.throws(() => finder.openPath("/var/run/netns/absent"), /"\/var\/run\/netns\/absent" is not a namespace/);
  assert.throws(() => finder.openPath("/var/run/netns/plain"), /"\/var\/run\/netns\/plain" is not a namespace/);
  assert.throws(() => finder.openPath("/var/run/netns/../netns/plain"), /is not an absolute path/);
  assert.throws(() => finder.openPath("/var/run/netns/host"), /is the node's own/);
});

test("a running pod is found by its cgroup, skipping processes that are still in the node's namespace", (context) => {
  const { node, root, mount } = hostWith(context);
  const host = node.addPod();
  const uid = "11111111-2222-4333-8444-555555555555";
  for (const [pid, target] of [
    ["100", process.pid],
    ["200", host.initPid],
  ] as const) {
    mount(target, `proc/${pid}/ns/net`);
    const cgroup = "0::/kubepods.slice/kubepods-pod11111111_2222_4333_8444_555555555555.slice/cri-containerd-x.scope\n";
    writeFileSync(join(root, "proc", pid, "cgroup"), cgroup);
  }
  const pod: Pod = { metadata: { name: "web", uid }, status: { podIP: host.address } };
  const finder = new PodNamespaceFinder({ hostProc: join(root, "proc") });
  using found = finder.open(pod);
  assert.equal(found?.inode, host.namespace.inode);
  // The object of a static pod has another uid than the pod on its kubelet.
  const annotations = { "kubernetes.io/config.mirror": uid };
  using mirrored = finder.open({ ...pod, metadata: { name: "web", uid: "56-78", annotations } });
  assert.equal(mirrored?.inode, host.namespace.inode);
  const part = { "kubernetes.io/config.mirror": "11111111" };
  using claimed = finder.open({ ...pod, metadata: { name: "web", uid: "56-78", annotations: part } });
  assert.equal(claimed, undefined, "a part of a uid matches nothing");
});

test("one pass over the node's processes finds all pods, and none of their later looks reads them again", (context) => {
  const { node, root, mount } = hostWith(context);
  const hosts = [node.addPod(), node.addPod()];
  const pods = hosts.map(({ address, initPid }, index): Pod => {
    mount(initPid, `proc/${initPid}/ns/net`);
    writeFileSync(join(root, "proc", `${initPid}/cgroup`), `0::/kubepods/pod12-${index}/x\n`);
    return { metadata: { name: "web", uid: `12-${index}` }, status: { podIP: address } };
  });
  const finder = new PodNamespaceFinder({ hostProc: join(root, "proc") });
  finder.locate(pods);
  for (const { initPid } of hosts) rmSync(join(root, "proc", `${initPid}/cgroup`));
  for (let look = 0; look < 2; look += 1)
    assert.deepEqual(
      pods.map((pod) => finder.addressesOf(pod)),
      hosts.map(({ address }) => [address]),
    );
});

test("an annotation that is no process id is ignored, and a look that fails leaves no descriptor open", (context) => {
  const { node, root, mount } = hostWith(context);
  const host = node.addPod();
  const annotations = { "lab.serin.dev/init-pid": "1".repeat(5000) };
  const pod: Pod = { metadata: { name: "web", uid: "12-34", annotations }, status: { podIP: host.address } };
  assert.equal(new PodNamespaceFinder({ hostProc: "/proc" }).open(pod), undefined);
  mount(host.initPid, "proc/100/ns/net");
  const finder = new PodNamespaceFinder({ hostProc: join(root, "proc") });
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const status = {
    get podIP(): string {
      throw new Error("unreadable");
    },
  };
  const before = descriptors();
  assert.throws(
    () => finder.open({ metadata: { name: "web", annotations: { "lab.serin.dev/init-pid": "100" } }, status }),
    /unreadable/,
  );
  assert.equal(descriptors(), before);
});
