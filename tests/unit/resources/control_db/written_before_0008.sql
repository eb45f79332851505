-- A control DB as the commit before revision 0008 wrote it: a file that was checked, one whose check a busy machine had taken
-- from three processes, one that waits, an export in the same state, an erasure that waits, and an event.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE api_keys (
	id VARCHAR(32) NOT NULL, 
	tenant_id VARCHAR(63) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	prefix VARCHAR(24) NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	scopes JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id), 
	UNIQUE (key_hash)
);
CREATE TABLE erasures (
	id VARCHAR(40) NOT NULL, 
	tenant_id VARCHAR(63) NOT NULL, 
	user_id VARCHAR(256), 
	user_digest VARCHAR(64) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	certificate JSON, 
	retrained_run VARCHAR(64), 
	requested_at DATETIME NOT NULL, 
	completed_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
INSERT INTO "erasures" VALUES('erasure-8cf78ab5b960891be1706a96','blue','u2','cf7d18aaad1040dec2bfc65bd0e605625697bccf1c03fd4a7de58fcdd2768180','pending','{"events": 1}',NULL,'2024-06-01 12:00:00.000000',NULL);
CREATE TABLE event_exports (
	tenant_id VARCHAR(63) NOT NULL, 
	first_seq BIGINT NOT NULL, 
	last_seq BIGINT NOT NULL, 
	rows BIGINT NOT NULL, 
	file TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (tenant_id, first_seq), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE "events" (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant_id VARCHAR(63) NOT NULL, 
	event_id VARCHAR(256) NOT NULL, 
	user_id VARCHAR(256) NOT NULL, 
	item_id VARCHAR(256), 
	interaction_type VARCHAR(32) NOT NULL, 
	timestamp DATETIME NOT NULL, 
	rating FLOAT, 
	quantity FLOAT, 
	price FLOAT, 
	duration_seconds FLOAT, 
	session_id VARCHAR(256), 
	recommendation_id VARCHAR(64), 
	extra JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id), 
	UNIQUE (tenant_id, event_id)
);
CREATE TABLE item_changes (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant_id VARCHAR(63) NOT NULL, 
	item_id VARCHAR(256) NOT NULL, 
	action VARCHAR(8) NOT NULL, 
	fields JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE item_intakes (
	tenant_id VARCHAR(63) NOT NULL, 
	seq BIGINT NOT NULL, 
	run_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (tenant_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE recommendation_exports (
	tenant_id VARCHAR(63) NOT NULL, 
	job_id VARCHAR(80) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	claimed_by VARCHAR(64), 
	claimed_until DATETIME, 
	attempts INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	count INTEGER NOT NULL, 
	scenario TEXT, 
	format VARCHAR(16) NOT NULL, 
	release_version VARCHAR(80), 
	users_done BIGINT NOT NULL, 
	users_total BIGINT, 
	rows BIGINT, 
	bytes BIGINT, 
	error_code VARCHAR(64), 
	message TEXT, 
	started_at DATETIME, 
	completed_at DATETIME, 
	PRIMARY KEY (tenant_id, job_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
INSERT INTO "recommendation_exports" VALUES('blue','export-ae83b6a901fc3905df4b','running','host:4:0a1b2c32','2024-06-01 12:03:10.000000',3,'2024-06-01 12:00:00.000000','2024-06-01 12:03:00.000000',5,NULL,'csv',NULL,0,NULL,NULL,NULL,NULL,NULL,'2024-06-01 12:03:00.000000',NULL);
CREATE TABLE rules (
	id VARCHAR(40) NOT NULL, 
	tenant_id VARCHAR(63) NOT NULL, 
	rule JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE runs (
	run_id VARCHAR(64) NOT NULL, 
	tenant_id VARCHAR(63) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	stage VARCHAR(64), 
	message TEXT, 
	epoch INTEGER, 
	total_epochs INTEGER, 
	metrics JSON NOT NULL, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, fit VARCHAR(16), 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE tenant_versions (
	tenant_id VARCHAR(63) NOT NULL, 
	version BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE tenants (
	id VARCHAR(63) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	settings JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "tenants" VALUES('blue','Blue','active','{"interaction_types": {}, "rating_min": 0.0, "rating_max": 10.0, "weights": {"view": 1.0, "click": 2.0, "like": 3.0, "add_to_cart": 3.0, "purchase": 5.0, "dislike": -1.0, "rating_min": 1.0, "rating_max": 5.0, "cap": 10.0}, "training": {"model_type": "lightgcn", "hyperparameters": {}, "mode": "full", "search": false, "search_trials": 30, "search_minutes": 10.0, "second_stage": false, "tolerance": 0.05}}','2024-06-01 12:00:00.000000');
INSERT INTO "tenants" VALUES('green','Green','active','{"interaction_types": {}, "rating_min": 0.0, "rating_max": 10.0, "weights": {"view": 1.0, "click": 2.0, "like": 3.0, "add_to_cart": 3.0, "purchase": 5.0, "dislike": -1.0, "rating_min": 1.0, "rating_max": 5.0, "cap": 10.0}, "training": {"model_type": "lightgcn", "hyperparameters": {}, "mode": "full", "search": false, "search_trials": 30, "search_minutes": 10.0, "second_stage": false, "tolerance": 0.05}}','2024-06-01 12:00:00.000000');
CREATE TABLE training_jobs (
	id VARCHAR(40) NOT NULL, 
	tenant_id VARCHAR(63) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	model_type VARCHAR(16), 
	hyperparameters JSON NOT NULL, 
	mode VARCHAR(16), 
	auto_deploy BOOLEAN NOT NULL, 
	estimated_seconds FLOAT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	cancel_requested BOOLEAN NOT NULL, 
	run_id VARCHAR(64), 
	release_version VARCHAR(40), 
	deployed BOOLEAN, 
	message TEXT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	ended_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE upload_jobs (
	tenant_id VARCHAR(63) NOT NULL, 
	job_id VARCHAR(80) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	filename TEXT NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	validate_only BOOLEAN NOT NULL, 
	bytes_total BIGINT NOT NULL, 
	bytes_done BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	upload_id VARCHAR(80), 
	error_code VARCHAR(64), 
	message TEXT, 
	report JSON, 
	claimed_by VARCHAR(64), 
	claimed_until DATETIME, 
	attempts INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (tenant_id, job_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
INSERT INTO "upload_jobs" VALUES('green','store-items-727289322d23a01f','items','done.csv','http','727289322d23a01f3e1316a597a9e368a1bfbdff4c16adb65c54cfe456ec4053',0,24,24,'stored','items-727289322d23a01f',NULL,NULL,'null',NULL,NULL,1,'2024-06-01 12:00:00.000000','2024-06-01 12:00:00.000000');
INSERT INTO "upload_jobs" VALUES('green','store-items-93b58a276c81c493','items','slow.csv','http','93b58a276c81c493316274eb850183f5a31f98e719dba526ea0c8898696637e2',0,24,0,'checking',NULL,NULL,NULL,'null','host:4:0a1b2c32','2024-06-01 12:03:11.000000',3,'2024-06-01 12:00:01.000000','2024-06-01 12:03:01.000000');
INSERT INTO "upload_jobs" VALUES('green','store-items-4bbdb57db845fab1','items','waits.csv','http','4bbdb57db845fab146c56461137228b25ecad9b5e2d695692084ae9e99420810',0,25,0,'queued',NULL,NULL,NULL,'null',NULL,NULL,0,'2024-06-01 12:03:01.000000','2024-06-01 12:03:01.000000');
CREATE TABLE uploads (
	sequence INTEGER NOT NULL, 
	tenant_id VARCHAR(63) NOT NULL, 
	upload_id VARCHAR(80) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	filename TEXT NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	rows_accepted BIGINT NOT NULL, 
	rows_rejected BIGINT NOT NULL, 
	rows_duplicate BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	ingested_run VARCHAR(64), 
	PRIMARY KEY (sequence), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id), 
	UNIQUE (tenant_id, upload_id)
);
INSERT INTO "uploads" VALUES(1,'green','interactions-e15ff017eca8cd9b','interactions','e15ff017eca8cd9b125bfaed8f1ea5d7558d5cd9ea30e8dca4b602651b9cf146','i.csv','http','success',1,0,0,'2024-06-01 12:00:00.000000',NULL);
INSERT INTO "uploads" VALUES(2,'green','items-727289322d23a01f','items','727289322d23a01f3e1316a597a9e368a1bfbdff4c16adb65c54cfe456ec4053','done.csv','http','success',1,0,0,'2024-06-01 12:00:00.000000',NULL);
CREATE TABLE write_keys (
	tenant_id VARCHAR(63) NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	request_hash VARCHAR(64) NOT NULL, 
	answer JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (tenant_id, key_hash), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE INDEX ix_api_keys_tenant_id ON api_keys (tenant_id);
CREATE INDEX ix_runs_tenant_id ON runs (tenant_id);
CREATE INDEX ix_uploads_pending ON uploads (tenant_id, ingested_run);
CREATE INDEX ix_upload_jobs_status ON upload_jobs (status);
CREATE INDEX ix_erasures_status ON erasures (status);
CREATE INDEX ix_erasures_tenant_id ON erasures (tenant_id);
CREATE INDEX ix_events_user ON events (tenant_id, user_id, seq);
CREATE INDEX ix_events_tenant_seq ON events (tenant_id, seq);
CREATE INDEX ix_item_changes_tenant_seq ON item_changes (tenant_id, seq);
CREATE INDEX ix_item_changes_item ON item_changes (tenant_id, item_id, seq);
CREATE INDEX ix_rules_tenant_id ON rules (tenant_id);
CREATE INDEX ix_write_keys_created_at ON write_keys (created_at);
CREATE INDEX ix_events_session ON events (tenant_id, session_id, seq);
CREATE INDEX ix_recommendation_exports_status ON recommendation_exports (status);
CREATE INDEX ix_training_jobs_tenant_time ON training_jobs (tenant_id, created_at);
CREATE INDEX ix_training_jobs_status ON training_jobs (status);
CREATE INDEX ix_training_jobs_run_id ON training_jobs (run_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',1);
COMMIT;
