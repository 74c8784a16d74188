// Getting, listing by pages, selectors and versions, and the forms of answers.
import { asTable, get, post, remove, type Exchange } from "../exchange.ts";
import { apps, configMap, core, discovery, namespace, networking } from "./places.ts";

const listed = core("configmaps", "listed");
const partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
const partialList = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";

export const reading: readonly Exchange[] = [
  post("a namespace to list in", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: "listed" } }),
  ...["a", "b", "c", "d", "e"].map((name, index) => post(`an object to list: ${name}`, listed, configMap(name, { index: String(index) }, { labels: { index: String(index), half: index < 2 ? "first" : "second" } }))),
  get("one object", `${listed}/a`),
  get("one that is not there", `${listed}/none`),
  get("one of a kind with a group that is not there", apps("deployments/none")),
  get("one of a cluster's kind that is not there", "/api/v1/namespaces/none"),
  get("one as a table", `${listed}/a`, { accept: asTable }),
  get("one by its metadata", `${listed}/a`, { accept: partial }),
  get("one in YAML", `${listed}/a`, { accept: "application/yaml" }),
  get("one in a form that nobody has", `${listed}/a`, { accept: "text/html" }),
  get("one in one of several forms", `${listed}/a`, { accept: "text/html, application/json;q=0.9, */*;q=0.8" }),
  get("one of a version of the future", `${listed}/a?resourceVersion=99999999`),
  get("one of a version that is no number", `${listed}/a?resourceVersion=abc`),
  get("one of version 0", `${listed}/a?resourceVersion=0`),
  { title: "one by HEAD", method: "HEAD", path: `${listed}/a` },
  get("all", listed),
  get("all of all namespaces by name", "/api/v1/configmaps?fieldSelector=metadata.name%3Da"),
  get("all of a namespace that is not there", core("configmaps", "nowhere")),
  get("all as a table", listed, { accept: asTable }),
  get("all as a table with whole objects", `${listed}?includeObject=Object`, { accept: asTable }),
  get("all as a table without objects", `${listed}?includeObject=None`, { accept: asTable }),
  get("all as a table by an unknown includeObject", `${listed}?includeObject=Some`, { accept: asTable }),
  get("all by their metadata", listed, { accept: partialList }),
  get("a first page", `${listed}?limit=2`),
  get("a second page", (earlier) => `${listed}?limit=2&continue=${encodeURIComponent(earlier("a first page").metadata.continue)}`),
  post("an object between pages", listed, configMap("bb")),
  remove("an object gone between pages", `${listed}/e`),
  get("a last page, after changes", (earlier) => `${listed}?limit=10&continue=${encodeURIComponent(earlier("a second page").metadata.continue)}`),
  get("a page with a selector", `${listed}?limit=1&labelSelector=half%3Dsecond`),
  get("a page by a token that is none", `${listed}?limit=2&continue=nonsense`),
  get("a page by a token and a version", (earlier) => `${listed}?limit=2&resourceVersion=1&continue=${encodeURIComponent(earlier("a first page").metadata.continue)}`),
  get("a page of a limit that is no number", `${listed}?limit=many`),
  get("a page of a negative limit", `${listed}?limit=-1`),
  get("as it was", (earlier) => `${listed}?resourceVersion=${earlier("all").metadata.resourceVersion}&resourceVersionMatch=Exact`),
  get("not older than it was", (earlier) => `${listed}?resourceVersion=${earlier("all").metadata.resourceVersion}&resourceVersionMatch=NotOlderThan`),
  get("exactly version 0", `${listed}?resourceVersion=0&resourceVersionMatch=Exact`),
  get("a match without a version", `${listed}?resourceVersionMatch=Exact`),
  get("a match that nobody knows", `${listed}?resourceVersion=1&resourceVersionMatch=Newest`),
  get("a version of the future", `${listed}?resourceVersion=99999999`),
  ...["half=first", "half==first", "half!=first", "half in (first,third)", "half notin (first)", "half", "!half", "index>1", "index<1", "half=second,index!=3", " half = first ", "index>x", "half=", "half in ()", "half=(a)", "=a", "half=a b", "half=first,", "half~first", "UPPER/case=a", "-bad=a", "half=-bad"].map((selector) =>
    get(`the labels ${selector}`, `${listed}?labelSelector=${encodeURIComponent(selector)}`),
  ),
  ...["metadata.name=a", "metadata.name!=a", "metadata.namespace=listed", "metadata.namespace=other", "metadata.name=a,metadata.namespace=listed", "data.index=1", "metadata.uid=a", "metadata.name", "metadata.name=a,metadata.name=b"].map((selector) =>
    get(`the fields ${selector}`, `${listed}?fieldSelector=${encodeURIComponent(selector)}`),
  ),
  ...["status.phase=Pending", "status.phase!=Pending", "spec.nodeName=", "spec.restartPolicy=Always", "spec.serviceAccountName=default", "spec.hostNetwork=true", "spec.hostNetwork=false", "status.podIP=", "spec.priority=0"].map((selector) =>
    get(`the pods of fields ${selector}`, `${core("pods")}?fieldSelector=${encodeURIComponent(selector)}`, { accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io" }),
  ),
  get("the secrets of a type", `${core("secrets")}?fieldSelector=type%3DOpaque`),
  get("the services of a type", `${core("services")}?fieldSelector=spec.type%3DExternalName`),
  get("the events of an object", `${core("events")}?fieldSelector=involvedObject.name%3Dplain,involvedObject.kind%3DPod`),
  get("the deployments of a field", `${apps("deployments")}?fieldSelector=spec.replicas%3D1`),
  get("the namespaces of a phase", "/api/v1/namespaces?fieldSelector=status.phase%3DActive,metadata.name%3Dlisted"),
  get("the nodes that take pods", "/api/v1/nodes?fieldSelector=spec.unschedulable%3Dfalse"),
  ...[core("pods"), core("services"), core("secrets"), core("configmaps"), core("serviceaccounts"), core("endpoints"), core("events"), core("replicationcontrollers"), core("persistentvolumeclaims"), core("limitranges"), core("resourcequotas"), core("podtemplates"), apps("deployments"), apps("replicasets"), apps("statefulsets"), apps("daemonsets"), networking("ingresses"), networking("networkpolicies"), discovery("endpointslices"), `/apis/batch/v1/namespaces/${namespace}/jobs`, `/apis/batch/v1/namespaces/${namespace}/cronjobs`, `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`, `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`, `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles`, `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`].map((path) =>
    get(`a table of ${path.split("/").at(-1)}`, path, { accept: asTable }),
  ),
  ...["/api/v1/nodes/corpus-node", "/api/v1/persistentvolumes/corpus", `/api/v1/namespaces/${namespace}`, "/apis/storage.k8s.io/v1/storageclasses/corpus", "/apis/scheduling.k8s.io/v1/priorityclasses/corpus", "/apis/networking.k8s.io/v1/ingressclasses/corpus", "/apis/rbac.authorization.k8s.io/v1/clusterroles/corpus-all", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/corpus", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/corpus"].map((path) =>
    get(`a table of ${path}`, path, { accept: asTable }),
  ),
];
