-- Two roles for a database of ActingWeb's own. The migration role owns the schema: it runs `alembic upgrade` and
-- `actingweb-db migrate`. The application role reads and writes rows, those of tables of later migrations too, and can
-- create, alter, drop and truncate nothing.
--
-- Run it in the database as its administrator, before the first `alembic upgrade` or at any time after. It takes over
-- what is there, also where one role has done everything so far, and can be run again:
--
--   psql -d actingweb -f deploy/postgresql/roles.sql
--   psql -d actingweb -v application_role=web -v migration_role=owner -v schema=public -f deploy/postgresql/roles.sql
--
-- `schema` is PG_DB_PREFIX followed by PG_DB_SCHEMA. No password stands here: set them with `\password actingweb` and
-- `\password actingweb_migration` in psql, which sends hashes only.

\set ON_ERROR_STOP on
\if :{?application_role} \else \set application_role actingweb \endif
\if :{?migration_role} \else \set migration_role actingweb_migration \endif
\if :{?schema} \else \set schema public \endif
SELECT current_database() AS database \gset

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name) FROM (VALUES (:'application_role'), (:'migration_role')) AS roles (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', rolname) FROM pg_roles
WHERE rolname = :'application_role' AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls) \gexec
-- Only a member may hand things over, unless it is a superuser.
GRANT :"migration_role" TO CURRENT_USER;
SELECT format('REVOKE %I FROM %I', owner.rolname, taker.rolname) FROM pg_auth_members
JOIN pg_roles AS owner ON owner.oid = roleid JOIN pg_roles AS taker ON taker.oid = member
WHERE owner.rolname = :'migration_role' AND taker.rolname = :'application_role' \gexec

SELECT format('ALTER DATABASE %I OWNER TO %I', datname, :'migration_role') FROM pg_database
WHERE datname = :'database' AND pg_get_userbyid(datdba) = :'application_role' \gexec
-- Other users of the same database need CONNECT of their own from here on.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC, :"application_role";
GRANT CONNECT ON DATABASE :"database" TO :"application_role";
-- Import and validation stage rows in temporary tables. A live migration has a schema of its own, which it drops.
GRANT CONNECT, TEMPORARY, CREATE ON DATABASE :"database" TO :"migration_role";

SELECT format('CREATE SCHEMA %I', :'schema')
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'schema') \gexec
ALTER SCHEMA :"schema" OWNER TO :"migration_role";
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, :"application_role";
GRANT USAGE ON SCHEMA :"schema" TO :"application_role";
-- Before PostgreSQL 15 everyone may create tables here.
SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC' WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public') \gexec

-- Alembic's own table, made here so that the application may read it only.
CREATE TABLE IF NOT EXISTS :"schema".alembic_version (
    version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY
);
SELECT format('ALTER TABLE %I.%I OWNER TO %I', schemaname, tablename, :'migration_role') FROM pg_tables
WHERE schemaname = :'schema' \gexec
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC, :"application_role";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO :"application_role";
REVOKE INSERT, UPDATE, DELETE ON :"schema".alembic_version FROM :"application_role";
ALTER DEFAULT PRIVILEGES FOR ROLE :"migration_role" IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"application_role";

COMMIT;
