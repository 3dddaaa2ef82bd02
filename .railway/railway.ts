// The service on Railway, for `railway config plan` and `railway config apply`. Railway reads this file at no other time: a deploy goes by
// what was applied last. "Railway" in src/guide/deploy.md says how.
//
// This file describes the whole environment. Applied in a project that has other services, it plans to delete them: `railway config pull`
// writes what there is, and this service goes into that file.

import { defineRailway, github, preserve, project, service } from "railway/iac";

/** Railway's edge must be told the port that PORT tells the daemon; it would try 8080. */
const PORT = 3000;

/** From SIGTERM to SIGKILL. The daemon takes `shutdown.grace` at the most: in a deploy 40 s and 250 ms a tenant, up to 300 s. Railway's default is 0. */
const DRAIN_SECONDS = 310;

/** From the new container's first healthy answer to the old one's SIGTERM. The old one gives the tenants over after it. */
const OVERLAP_SECONDS = 0;

/** The port opens when the restore is over, at the latest `restore.deadline` (240 s) after the start. */
const HEALTH_TIMEOUT_SECONDS = 300;

export default defineRailway(() =>
  project("sessiond", {
    resources: [
      service("sessiond", {
        source: github("OWNER/REPOSITORY", { branch: "main" }),
        build: { builder: "DOCKERFILE", dockerfilePath: "Dockerfile" },
        deploy: {
          // Without a path, a deploy counts as healthy as soon as it runs.
          healthcheckPath: "/health",
          healthcheckTimeout: HEALTH_TIMEOUT_SECONDS,
          drainingSeconds: DRAIN_SECONDS,
          overlapSeconds: OVERLAP_SECONDS,
          // The daemon ends with 0 after a signal only.
          restartPolicyType: "ON_FAILURE",
          restartPolicyMaxRetries: 10,
          // Asleep, it would hear nothing from WhatsApp: data on a socket that we opened wakes nothing.
          sleepApplication: false,
        },
        replicas: 1,
        domains: [{ domain: "api.kdsapp.site", port: PORT }],
        // All of the service's variables: `apply` plans to delete the ones that are not named here. `preserve()` keeps a value that was set in
        // the dashboard.
        env: {
          PORT: String(PORT),
          FIREBASE_SERVICE_ACCOUNT_KEY: preserve(),
          SESSIOND_MASTER_KEY: preserve(),
          SESSIOND_ADMIN_KEY: preserve(),
          // Nothing but Railway's edge reaches the port from outside, so its word for the client's address is good.
          SESSIOND_HTTP__TRUSTED_PROXIES: "0.0.0.0/0,::/0",
          SESSIOND_HTTP__CORS_ORIGINS: "https://kdsapp.site",
          // Railway's own settings once more, by their variables: `railway config migrate` drops drain and overlap from the file that it
          // writes, and does not touch these.
          RAILWAY_DEPLOYMENT_DRAINING_SECONDS: String(DRAIN_SECONDS),
          RAILWAY_DEPLOYMENT_OVERLAP_SECONDS: String(OVERLAP_SECONDS),
          RAILWAY_HEALTHCHECK_TIMEOUT_SEC: String(HEALTH_TIMEOUT_SECONDS),
        },
      }),
    ],
  }),
);
