import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod, PodSpec, SecurityContext } from "../../../api/kubernetes/index.ts";
import { containerRights, refusalOfRoot, UnmetFields } from "./container-rights.ts";

const root = { user: 0, group: 0 };
const pilot = { user: 1337, group: 1337 };

function podWith(container: Partial<Container>, spec: Partial<PodSpec> = {}): { pod: Pod; container: Container } {
  const whole = { name: "app", ...container };
  const metadata = { name: "web", namespace: "shop", uid: "7" };
  return { pod: { metadata, spec: { containers: [whole], ...spec } }, container: whole };
}

test("a container that may not run as root and would do so is refused with the kubelet's words", () => {
  const refusal = (container: Partial<Container>, spec: Partial<PodSpec>, image = root): string | undefined => {
    const made = podWith(container, spec);
    return refusalOfRoot(made.container, made.pod, image);
  };
  const asRoot = 'container has runAsNonRoot and image will run as root (pod: "web_shop(7)", container: app)';
  const breaks = `container's runAsUser breaks non-root policy (pod: "web_shop(7)", container: app)`;
  const nonRoot = { securityContext: { runAsNonRoot: true } };
  assert.equal(refusal(nonRoot, {}), asRoot);
  assert.equal(refusal({}, nonRoot), asRoot);
  assert.equal(refusal({ securityContext: { runAsNonRoot: true, runAsUser: 0 } }, {}), breaks);
  assert.equal(refusal({ securityContext: { runAsUser: 0 } }, nonRoot, pilot), breaks);
  assert.equal(refusal(nonRoot, { securityContext: { runAsUser: 5 } }), undefined);
  assert.equal(refusal({ securityContext: { runAsNonRoot: false } }, nonRoot), undefined);
  assert.equal(refusal(nonRoot, {}, pilot), undefined);
  assert.equal(refusal({}, {}), undefined);
});

test("a container runs as its manifest says, else as its image's user if it may not be root", () => {
  const idsOf = (container: Partial<Container>, uidCount = 65_536): readonly number[] => {
    const made = podWith(container);
    const { user, group } = containerRights(made.container, made.pod, { uidCount, runsAs: pilot });
    return [user, group];
  };
  assert.deepEqual(idsOf({}), [0, 0]);
  assert.deepEqual(idsOf({ securityContext: { runAsNonRoot: true } }), [1337, 1337]);
  assert.deepEqual(idsOf({ securityContext: { runAsNonRoot: true, runAsUser: 5, runAsGroup: 6 } }), [5, 6]);
  assert.deepEqual(idsOf({ securityContext: { runAsNonRoot: true } }, 1), [0, 0], "the lab has one user");
});

test("fields that the lab cannot apply are named in an event of the pod, the default profile once for all pods", () => {
  const unmet = new UnmetFields(65_536);
  const notes = (container: Partial<Container>, spec: Partial<PodSpec> = {}): readonly string[] =>
    unmet
      .notesFor(podWith(container, spec).pod)
      .map(({ type, reason, message }) => `${type} ${reason} ${message.replace(/ not applied: .*/, "")}`);
  const careful = { securityContext: { readOnlyRootFilesystem: true, seccompProfile: { type: "RuntimeDefault" } } };
  assert.deepEqual(notes(careful), ["Normal FieldsNotApplied RuntimeDefault profiles"]);
  assert.deepEqual(notes(careful), []);
  assert.deepEqual(
    notes(
      {
        securityContext: {
          seccompProfile: { type: "Localhost", localhostProfile: "strict.json" },
          seLinuxOptions: { level: "s0" },
          procMount: "Unmasked",
        },
      },
      {
        securityContext: { appArmorProfile: { type: "Localhost", localhostProfile: "web" }, supplementalGroups: [5] },
        hostUsers: false,
        hostIPC: true,
        shareProcessNamespace: true,
      },
    ),
    [
      "Warning FieldsNotApplied appArmorProfile Localhost web, seccompProfile Localhost strict.json of container app, seLinuxOptions of container app, procMount Unmasked of container app, supplementalGroups, hostUsers: false, hostIPC, shareProcessNamespace",
    ],
  );
  const harmless = {
    seccompProfile: { type: "Unconfined" },
    appArmorProfile: { type: "Unconfined" },
    seLinuxOptions: { type: "spc_t" },
  };
  assert.deepEqual(notes({ securityContext: { ...harmless, procMount: "Default" } }), []);
});

test("the group of a pod's volumes is named if a container without it would miss it", () => {
  const unmet = new UnmetFields(65_536);
  const named = (container: SecurityContext, pod: PodSpec["securityContext"] = {}): boolean =>
    unmet
      .notesFor(podWith({ securityContext: container }, { securityContext: { fsGroup: 2000, ...pod } }).pod)
      .some(({ message }) => message.startsWith("fsGroup 2000 not applied"));
  assert.equal(named({ runAsUser: 1000 }), true);
  assert.equal(named({}, { runAsNonRoot: true, runAsGroup: 3000 }), true);
  assert.equal(named({ runAsUser: 1000, runAsGroup: 2000 }), false);
  assert.equal(named({ runAsUser: 1000 }, { runAsGroup: 2000 }), false);
  assert.equal(named({}), false, "root reads every file");
});

test("in a lab with one user, the users that a pod asks for are named", () => {
  const unmet = new UnmetFields(1);
  const { pod } = podWith({ securityContext: { runAsUser: 1000, runAsNonRoot: true } });
  assert.deepEqual(
    unmet.notesFor(pod).map(({ reason, message }) => [reason, message]),
    [
      [
        "IdentityNotApplied",
        "runAsUser 1000, runAsNonRoot not applied: this lab has only one user; its programs run as that user",
      ],
    ],
  );
});
