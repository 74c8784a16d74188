export interface KnownDashboard {
  readonly name: string;
  readonly summary: string;
  /**
   * Label selectors. They are tried in this order until one finds a pod, because the releases of an addon have
   * different labels.
   */
  readonly selectors: readonly string[];
  readonly port: number;
  readonly path: string;
  readonly install: string;
}

export const knownDashboards: readonly KnownDashboard[] = [
  {
    name: "kiali",
    summary: "open the mesh graph",
    selectors: ["app=kiali", "app.kubernetes.io/name=kiali"],
    port: 20_001,
    path: "/kiali",
    install: "kubectl apply -f samples/addons/kiali.yaml",
  },
  {
    name: "prometheus",
    summary: "open the metrics store",
    selectors: ["app.kubernetes.io/name=prometheus", "app=prometheus"],
    port: 9090,
    path: "",
    install: "kubectl apply -f samples/addons/prometheus.yaml",
  },
  {
    name: "grafana",
    summary: "open the dashboards of Grafana",
    selectors: ["app.kubernetes.io/name=grafana", "app=grafana"],
    port: 3000,
    path: "",
    install: "kubectl apply -f samples/addons/grafana.yaml",
  },
  {
    name: "jaeger",
    summary: "open the traces in Jaeger",
    selectors: ["app=jaeger"],
    port: 16_686,
    path: "",
    install: "kubectl apply -f the samples/addons/jaeger.yaml of an Istio release; Serin has no such add-on",
  },
  {
    name: "zipkin",
    summary: "open the traces in Zipkin",
    selectors: ["app=zipkin"],
    port: 9411,
    path: "",
    install: "kubectl apply -f the samples/addons/extras/zipkin.yaml of an Istio release; Serin has no such add-on",
  },
  {
    name: "skywalking",
    summary: "open the traces in SkyWalking",
    selectors: ["app=skywalking-ui"],
    port: 8080,
    path: "",
    install: "kubectl apply -f the samples/addons/extras/skywalking.yaml of an Istio release; Serin has no such add-on",
  },
];
