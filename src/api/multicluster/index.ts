// The kinds of multi-cluster services (MCS): ServiceExport and ServiceImport.
export { defaultMultiClusterApi, type MultiClusterApi } from "./multi-cluster-api.ts";
export { serviceExportKind, type ServiceExport } from "./service-export.ts";
export { parseServiceImport, serviceImportKind, type ServiceImport } from "./service-import.ts";
