/** The exact queries of tools and guides for meshes. */
export const queries: Readonly<Record<string, readonly string[]>> = {
  "Kiali's graph": [
    ...["source", "destination", "waypoint"].map(
      (reporter) =>
        `sum(rate(istio_requests_total{reporter="${reporter}",source_workload_namespace="shop",destination_service_namespace="shop"} [600s])) by (source_cluster,source_workload_namespace,source_workload,source_canonical_service,source_canonical_revision,destination_cluster,destination_service_namespace,destination_service,destination_service_name,destination_workload_namespace,destination_workload,destination_canonical_service,destination_canonical_revision,request_protocol,response_code,grpc_response_status,response_flags) > 0`,
    ),
    'sum(rate(istio_requests_total{reporter=~"source|waypoint",source_workload_namespace!="shop",source_workload!="unknown",destination_service_namespace="shop"} [60s])) by (source_workload,destination_service_name,response_code) > 0',
    'round(sum(rate(istio_tcp_sent_bytes_total{reporter="source",source_workload_namespace="shop"} [600s])) by (source_workload,destination_service_name,response_flags),0.001)',
    'sum(rate(istio_tcp_received_bytes_total{source_workload_namespace="shop"}[120s])) by (app,destination_canonical_service) > 0',
    'sum(rate(istio_request_messages_total{reporter="source"}[600s])) by (source_workload,destination_service_name) > 0',
    'histogram_quantile(0.95, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_service_namespace="shop"}[600s])) by (le,source_workload,destination_service_name,request_protocol)) > 0',
    'sum(rate(istio_request_duration_milliseconds_sum{destination_service_namespace="shop",reporter="destination"}[600s])) by (source_workload,destination_service_name) / sum(rate(istio_request_duration_milliseconds_count{destination_service_namespace="shop",reporter="destination"}[600s])) by (source_workload,destination_service_name) > 0',
    'sum(rate(istio_requests_total{reporter="destination",connection_security_policy="mutual_tls"}[600s])) by (source_workload,destination_service_name,connection_security_policy) > 0',
    'rate(istio_requests_total{reporter="source",source_workload_namespace="shop"}[60s]) > 0',
    "sum(istio_build) by (component, tag)",
  ],
  "Kiali's metrics and health": [
    'sum(rate(istio_requests_total{destination_service_name="reviews",destination_service_namespace="shop",reporter="destination"}[1m])) by (response_code)',
    'label_replace(histogram_quantile(0.5, sum(rate(istio_request_bytes_bucket{reporter="destination"}[5m])) by (le,destination_workload)), "quantile", "0.5", "", "")',
    'sum(rate(istio_requests_total{reporter="source",response_code=~"^5.*$"}[5m])) or vector(0)',
    'count by (destination_service_name) (istio_requests_total{destination_service_namespace="shop"})',
  ],
  Flagger: [
    'sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload=~"reviews-v2",response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload=~"reviews-v2"}[1m])) * 100',
    'histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="shop",destination_workload=~"reviews-v2"}[1m])) by (le))',
    '100 - sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload="reviews-v2",response_code!="404"}[1m])) / sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload="reviews-v2"}[1m])) * 100',
    'sum(rate(istio_requests_total{reporter="destination",destination_workload="nobody"}[1m]))',
  ],
  "Argo Rollouts": [
    'sum(irate(istio_requests_total{reporter="source",destination_service=~"reviews.shop.svc.cluster.local",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter="source",destination_service=~"reviews.shop.svc.cluster.local"}[5m]))',
    'scalar(sum(increase(istio_requests_total{reporter="source",response_code="503"}[10m])) > 0 or vector(0))',
    'sum(irate(istio_requests_total{reporter="source",destination_service=~"none.*"}[5m])) or on() vector(1)',
    'avg_over_time((sum(rate(istio_requests_total{destination_workload="reviews-v2"}[2m])))[10m:1m])',
  ],
  "Grafana's Istio boards": [
    'round(sum(irate(istio_requests_total{reporter=~"destination",destination_service=~"reviews.shop.svc.cluster.local"}[5m])), 0.001)',
    '(histogram_quantile(0.90, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"source",destination_service=~"reviews.*"}[1m])) by (le, source_workload, source_workload_namespace)) / 1000) or histogram_quantile(0.90, sum(irate(istio_request_duration_seconds_bucket{reporter=~"source"}[1m])) by (le))',
    'label_join(sum by (destination_workload, destination_workload_namespace, destination_service) (rate(istio_requests_total{reporter=~"source|waypoint"}[60s])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")',
    "topk(2, sum by (destination_workload) (rate(istio_requests_total[5m])))",
    "sum(rate(istio_tcp_sent_bytes_total[1m])) by (source_workload) - sum(rate(istio_tcp_received_bytes_total[1m])) by (source_workload)",
    "max_over_time(istio_build[5m])",
    "absent(istio_agent_scrapes_total)",
    "quantile(0.5, rate(istio_requests_total[5m]))",
    "deriv(istio_build[5m]) == 0",
    'changes(istio_requests_total{response_code="503"}[30m]) > 1',
    "resets(istio_requests_total[1h]) > 0",
  ],
};
