// Paths that are no objects, and paths that are nothing.
import { get, post, type Exchange } from "../exchange.ts";
import { core } from "./places.ts";

export const paths: readonly Exchange[] = [
  get("nothing at all", "/nothing"),
  get("a version that is not there", "/api/v2"),
  get("a group that is not there", "/apis/nothing.example.com"),
  get("a group's version that is not there", "/apis/apps/v9"),
  get("a kind that is not there", "/api/v1/nothings"),
  get("a kind that is not there, in a namespace", core("nothings")),
  get("a kind of a group that is not there", "/apis/nothing.example.com/v1/nothings"),
  get("a cluster's kind in a namespace", core("nodes")),
  get("a subresource that is not there", core("configmaps/plain/nothing")),
  get("a subresource that is written only", core("pods/plain/binding")),
  get("a review that is written only", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
  post("a creation with a name in its path", core("configmaps/plain"), { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "plain" } }),
  post("a creation without a namespace", "/api/v1/configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "plain" } }),
  get("one without a namespace", "/api/v1/pods/plain"),
  { title: "a method that nobody knows", method: "PROPFIND", path: core("configmaps/plain") },
  { title: "a replacement of a collection", method: "PUT", path: core("configmaps"), body: {} },
  get("health", "/healthz"),
  get("readiness", "/readyz"),
  get("liveness", "/livez"),
  get("the core group's versions", "/api"),
  get("the core group's kinds", "/api/v1"),
  ...["apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2", "networking.k8s.io/v1", "policy/v1", "rbac.authorization.k8s.io/v1", "coordination.k8s.io/v1", "discovery.k8s.io/v1", "events.k8s.io/v1", "apiextensions.k8s.io/v1", "admissionregistration.k8s.io/v1", "authentication.k8s.io/v1", "authorization.k8s.io/v1", "storage.k8s.io/v1", "scheduling.k8s.io/v1", "certificates.k8s.io/v1", "node.k8s.io/v1"].map((version) => get(`the kinds of ${version}`, `/apis/${version}`)),
  ...["apps", "autoscaling", "networking.k8s.io", "apiextensions.k8s.io"].map((group) => get(`the versions of ${group}`, `/apis/${group}`)),
];
