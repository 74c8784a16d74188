import type { Command } from "commander";

type Example = readonly [command: string, does: string];

export const examples: Readonly<Record<string, readonly Example[]>> = {
  install: [
    ["install --set profile=ambient -y", "the mesh with ztunnels and no sidecars"],
    ["install -f mesh.yaml --dry-run", "only print what a file would change"],
    ["install --set profile=minimal --revision 1-18-1 -y", "another control plane beside the existing one"],
  ],
  "verify-install": [["verify-install -f mesh.yaml", "compare the cluster with the file that was installed"]],
  upgrade: [
    ["upgrade --set profile=ambient -y", "replace the release in place"],
    ["upgrade start -f upgrade.yaml -w", "move to another revision step by step, and watch"],
  ],
  "upgrade plan": [
    ["upgrade plan -f upgrade.yaml", "in a lab, which has both releases"],
    ["upgrade plan -f upgrade.yaml --from-release ./1.18.0 --to-release ./1.18.1", "with the directories of both"],
    ["upgrade plan -f upgrade.yaml --json --strict", "in a pipeline"],
  ],
  "upgrade start": [["upgrade start -f upgrade.yaml -w", "create the MeshUpgrade, and watch its steps"]],
  "upgrade retry": [["upgrade retry to-1-18-1 -f upgrade.yaml", "again, with a changed spec"]],
  "upgrade list": [["upgrade list", "all upgrades with their phases"]],
  "upgrade status": [
    ["upgrade status to-1-18-1", "the steps, and what the current one waits for"],
    ["upgrade status to-1-18-1 -w --timeout 30m", "watch until it ends, for at most half an hour"],
  ],
  "upgrade history": [["upgrade history to-1-18-1 --run 1", "the decisions of the first run"]],
  "upgrade pause": [['upgrade pause to-1-18-1 -m "peak hours"', "start no further step"]],
  "upgrade resume": [["upgrade resume to-1-18-1", "continue"]],
  "upgrade rollback": [['upgrade rollback to-1-18-1 -m "timeouts in shop"', "go back to the old revision"]],
  "upgrade approve": [
    ["upgrade approve to-1-18-1", "the step that waits now"],
    ["upgrade approve to-1-18-1 --step dependents", "the removal of the old revision"],
  ],
  "upgrade complete": [["upgrade complete to-1-18-1", "do not wait for the end of the soak"]],
  uninstall: [
    ["uninstall --revision 1-18-0", "one control plane"],
    ["uninstall --purge -y", "everything, without a question"],
  ],
  "manifest generate": [["manifest generate --set profile=ambient", "the objects of a profile as YAML"]],
  "manifest diff": [["manifest diff old.yaml new.yaml --ignore Secret:*:*", "everything but the Secrets"]],
  "manifest translate": [
    ["manifest translate -f mesh.yaml", "print the Helm values for each chart"],
    ["manifest translate --set profile=ambient -o values", "write a file of values for each chart"],
  ],
  "gateway-api install": [["gateway-api install", "the kinds Gateway, HTTPRoute and others"]],
  "profile list": [["profile list", "the names for --set profile=NAME"]],
  "profile dump": [["profile dump ambient --config-path components", "a part of a profile"]],
  "profile diff": [["profile diff default ambient", "two profiles"]],
  "operator init": [["operator init --watchedNamespaces istio-system,team", "for IstioOperators of two namespaces"]],
  "operator dump": [["operator dump", "the objects, without writing them"]],
  "operator remove": [["operator remove", "the mesh stays"]],
  "charts serve": [["charts serve", "then: helm repo add istio http://127.0.0.1:8879"]],
  "charts package": [["charts package ./charts --hub registry.example/mesh", "for a web server of yours"]],
  "charts template": [
    ["charts template istiod istiod -n istio-system --set revision=1-18-1", "the control plane as YAML"],
  ],
  "image list": [["image list", "after npm run image"]],
  "image save": [["image save -o mesh.tar", "for kind load image-archive mesh.tar"]],
  "image load": [["image load --ctr 'k3s ctr'", "on a node with k3s"]],
  "image push": [["image push --hub registry.example/mesh", "with the credentials of docker login"]],
  "tag set": [["tag set prod --revision 1-18-1 --overwrite", "move the tag prod to a new revision"]],
  "tag generate": [["tag generate prod --revision 1-18-1", "for kubectl apply -f -"]],
  "tag list": [["tag list", "tags and the namespaces that use them"]],
  "tag remove": [["tag remove prod", "the control plane stays"]],
  "canary create": [["canary create -n shop -f canary.yaml -w", "create the Canary, and watch its steps"]],
  "canary retry": [["canary retry web -n shop", "again, unchanged"]],
  "canary list": [["canary list -A", "all Canaries with their phases"]],
  "canary status": [
    ["canary status web -n shop", "the steps, and what the current one waits for"],
    ["canary status web -n shop -w --timeout 10m", "watch until it ends, for at most 10 minutes"],
  ],
  "canary history": [["canary history web -n shop", "every decision, with who made it and why"]],
  "canary pause": [['canary pause web -n shop -m "lunch"', "start no further step"]],
  "canary resume": [["canary resume web -n shop", "continue"]],
  "canary abort": [['canary abort web -n shop -m "wrong image"', "give all traffic back to the old version"]],
  "canary undo": [["canary undo web -n shop", "go back to the old version, also after the end"]],
  "canary import": [["canary import -f rollout.yaml", "print the Canary of an Argo Rollout, for kubectl apply -f -"]],
  "canary promote": [
    ['canary promote web -n shop -m "looks good"', "approve the step that waits now"],
    ["canary promote web -n shop --full", "skip all steps but the last"],
  ],
  "check explain": [
    ["check explain request-success-rate", "a type"],
    ["check explain -f check.yaml", "a Check of a file"],
  ],
  "check run": [
    ["check run request-success-rate -n shop --canary web-next --stable web", "compare two Services"],
    ["check run -f check.yaml --within 60", "a Check of a file"],
  ],
  "check types": [["check types", "the values of the field type"]],
  "freeze list": [["freeze list", "the windows and the exceptions of all freezes"]],
  "freeze add": [
    ["freeze add holidays --reason holidays --until 2027-01-04T08:00:00 --zone Europe/Berlin", "from now on"],
    ["freeze add weekends --reason weekend --from 2026-12-04T16:00:00 --rrule FREQ=WEEKLY;BYDAY=FR --duration 64h", ""],
  ],
  "freeze except": [["freeze except holidays --canary shop/fix --reason outage", "one rollout may continue"]],
  "freeze remove": [["freeze remove holidays", "all rollouts may continue"]],
  top: [
    ["top", "workloads by requests"],
    ["top services -n shop --sort p99 --once", "print the slowest services once"],
  ],
  graph: [
    ["graph shop", "who calls whom in a namespace"],
    ["graph -o dot", "for dot -Tsvg"],
  ],
  version: [["version -o json", "for programs"]],
  "proxy-status": [
    ["proxy-status", "all proxies"],
    ["proxy-status deployment/web.shop", "compare one proxy with its control plane"],
  ],
  "proxy-config cluster": [
    ["proxy-config cluster deployment/web.shop", "all clusters"],
    ["proxy-config cluster deployment/web.shop --fqdn reviews -o json", "one of them in full"],
  ],
  "proxy-config listener": [["proxy-config listener deployment/web.shop --port 15006", "the inbound listener"]],
  "proxy-config route": [
    ["proxy-config route deployment/web.shop --name 80 -o json", "one route configuration in full"],
  ],
  "proxy-config endpoint": [
    ["proxy-config endpoint deployment/web.shop --status unhealthy", "the endpoints that get no requests"],
  ],
  "proxy-config eds": [["proxy-config eds deployment/web.shop --port 80", "the endpoints of one port"]],
  "proxy-config secret": [["proxy-config secret deployment/web.shop", "how long the certificates are valid"]],
  "proxy-config bootstrap": [["proxy-config bootstrap deployment/web.shop -o short", "only the versions"]],
  "proxy-config ecds": [["proxy-config ecds deployment/web.shop", "such as WasmPlugins"]],
  "proxy-config all": [["proxy-config all deployment/web.shop -o json", "a config dump, for -f of the other verbs"]],
  "proxy-config log": [["proxy-config log deployment/web.shop --level debug", "until the proxy restarts"]],
  "proxy-config rootca-compare": [
    ["proxy-config rootca-compare deployment/web.shop deployment/api.shop", "whether mTLS can work between them"],
  ],
  "ztunnel-config workload": [
    ["ztunnel-config workload --node worker-1", "the ztunnel of a node"],
    ["ztunnel-config workload --workload-namespace shop -o json", "the workloads of a namespace in full"],
  ],
  "ztunnel-config service": [["ztunnel-config service --service-namespace shop", "the services of a namespace"]],
  "ztunnel-config policy": [["ztunnel-config policy --policy-namespace shop", "the policies of a namespace"]],
  "ztunnel-config certificate": [["ztunnel-config certificate --node worker-1", "the ztunnel of a node"]],
  "ztunnel-config connections": [["ztunnel-config connections --direction inbound --raw", "with addresses"]],
  "ztunnel-config all": [["ztunnel-config all --node worker-1 --with-headers", "with a title for each table"]],
  "ztunnel-config log": [["ztunnel-config log --level debug", "all ztunnels, until they restart"]],
  "waypoint generate": [["waypoint generate -n shop --for service", "for kubectl apply -f -"]],
  "waypoint apply": [["waypoint apply -n shop --enroll-namespace --wait", "all Services of the namespace use it"]],
  "waypoint delete": [["waypoint delete -n shop waypoint", "one waypoint by its name"]],
  "waypoint list": [["waypoint list -A", "the waypoints of all namespaces"]],
  "waypoint status": [["waypoint status -n shop", "wait until the waypoint is programmed"]],
  analyze: [
    ["analyze", "the namespace of the kubeconfig's context"],
    ["analyze -A", "all namespaces"],
    ["analyze route.yaml", "the cluster as it would be with the file"],
    ["analyze --use-kube=false samples/bookinfo", "files alone, without a cluster"],
    ['analyze -S "IST0102=Namespace default"', "without one message"],
  ],
  validate: [
    ["validate -f route.yaml", "one file"],
    ["validate samples/bookinfo", "all files of a directory"],
  ],
  dashboard: [
    ["dashboard", "in a browser on this machine"],
    ["dashboard --no-browser -p 8080", "only print the address"],
  ],
  "dashboard kiali": [["dashboard kiali", ""]],
  "dashboard prometheus": [["dashboard prometheus", ""]],
  "dashboard grafana": [["dashboard grafana --no-browser", "only print the address"]],
  "dashboard jaeger": [["dashboard jaeger", ""]],
  "dashboard zipkin": [["dashboard zipkin", ""]],
  "dashboard skywalking": [["dashboard skywalking", ""]],
  "dashboard proxy": [["dashboard proxy deployment/web.shop", "the admin page of a sidecar"]],
  "dashboard envoy": [["dashboard envoy -l app=web -n shop", "the first pod with the label"]],
  "dashboard istiod-debug": [["dashboard istiod-debug -r 1-18-1", "the control plane of a revision"]],
  "dashboard controlz": [["dashboard controlz", ""]],
  "dashboard list": [["dashboard list", ""]],
  "experimental precheck": [["experimental precheck", "before an installation or an upgrade"]],
  "experimental check-inject": [
    ["experimental check-inject -n shop deployment/web", "a pod that exists"],
    ["experimental check-inject -n shop -l app=web", "a pod that is planned"],
  ],
  "experimental authz check": [["experimental authz check deployment/web.shop", "the policies of its proxy"]],
  "experimental describe pod": [["experimental describe pod deployment/web.shop", "its services, routes and policies"]],
  "experimental describe service": [["experimental describe service web -n shop", "its routes and policies"]],
  "experimental injector list": [["experimental injector list", ""]],
  "experimental revision list": [["experimental revision list", ""]],
  "experimental revision describe": [["experimental revision describe prod", "the revision behind a tag"]],
  "experimental envoy-stats": [["experimental envoy-stats deployment/web.shop -o prom", "in the format of Prometheus"]],
  "experimental metrics": [["experimental metrics web.shop -d 5m", "the last five minutes"]],
  "experimental internal-debug": [["experimental internal-debug syncz", "the same as /debug/syncz"]],
  "kube-inject": [["kube-inject -f web.yaml", "for kubectl apply -f -"]],
  "admin log": [["admin log --level debug", "until the control plane restarts"]],
  "remote-clusters": [["remote-clusters", ""]],
  "create-remote-secret": [
    ["create-remote-secret --context east --name east", "for kubectl apply --context west -f -"],
  ],
  "bug-report": [["bug-report --include shop --duration 30m", "the last half hour of a namespace"]],
  alias: [["alias istioctl", "then: istioctl version"]],
  completion: [["completion bash", "source <(serin completion bash)"]],
};

/** The columns of a terminal that show an example in one line. */
const columns = 80;

const firstSteps: readonly Example[] = [
  ["cluster create", "a cluster on this machine"],
  ["install --set profile=ambient -y", "the mesh"],
  ["canary create -n shop -f canary.yaml -w", "move an app to a new version"],
  ["canary --help", "the verbs of canary"],
  ["canary create --help", "a verb's flags and examples"],
];

export function addFirstSteps(program: Command): Command {
  return program.addHelpText("after", `\n${exampleText(firstSteps, program.name())}`);
}

/**
 * Shows the verb's examples at the end of its help. A verb below `experimental` may also exist above it, with the same
 * examples.
 */
export function addExamples(command: Command, path: string, programName: string): void {
  const own = examples[path] ?? examples[path.replace(/^experimental /, "")];
  if (own === undefined) return;
  command.addHelpText("after", `\n${exampleText(own, programName)}`);
}

function exampleText(shown: readonly Example[], programName: string): string {
  const lines = shown.map(([line, does]): [string, string] => [`${programName} ${line}`, does]);
  const width = Math.max(0, ...lines.map(([line]) => line.length));
  const beside = lines.map(([line, does]) => `  ${does === "" ? line : `${line.padEnd(width)}   # ${does}`}`);
  // If one text does not fit beside its command, all stand above their commands, as in kubectl's help.
  const texts = beside.every((text) => text.length <= columns)
    ? beside
    : lines.map(([line, does]) => `${does === "" ? "" : `  # ${does}\n`}  ${line}`);
  return `${shown.length === 1 ? "Example" : "Examples"}:\n${texts.join("\n")}`;
}
