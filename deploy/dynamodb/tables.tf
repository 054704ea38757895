# The DynamoDB tables of ActingWeb, as the library creates them, with backups, protection and alarms. Set
# AWS_DB_AUTO_CREATE_TABLES=false in the application, and give it the role of iam-policy-application.json.
#
# Tables that exist already are taken over, not created:
#   terraform import 'aws_dynamodb_table.actingweb["actors"]' prod_actors
#
# Not here: the table property_lookup, which the library reads and never creates, and the index that an application with
# USE_PROPERTY_LOOKUP_TABLE=false needs.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
    }
  }
}

variable "prefix" {
  description = "AWS_DB_PREFIX of the application."
  type        = string
  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]*[a-zA-Z0-9.-]$", var.prefix))
    error_message = "The prefix has letters, digits, hyphens, dots and underscores, and no underscore at its end."
  }
}

variable "kms_key_arn" {
  description = "A customer managed key. By default DynamoDB encrypts with a key of its own."
  type        = string
  default     = null
}

locals {
  # All key attributes are texts.
  tables = {
    actors = {
      hash_key   = "id"
      range_key  = null
      attributes = ["id", "creator"]
      indexes    = { creator-index = "creator" }
      ttl        = []
    }
    attributes = {
      hash_key   = "id"
      range_key  = "bucket_name"
      attributes = ["id", "bucket_name"]
      indexes    = {}
      ttl        = ["ttl_timestamp"]
    }
    peertrustees = {
      hash_key   = "id"
      range_key  = "peerid"
      attributes = ["id", "peerid"]
      indexes    = {}
      ttl        = []
    }
    properties = {
      hash_key   = "id"
      range_key  = "name"
      attributes = ["id", "name"]
      indexes    = {}
      ttl        = []
    }
    property_lookup_v2 = {
      hash_key   = "lookup_key"
      range_key  = null
      attributes = ["lookup_key"]
      indexes    = {}
      ttl        = []
    }
    subscription_suspensions = {
      hash_key   = "id"
      range_key  = "target_key"
      attributes = ["id", "target_key"]
      indexes    = {}
      ttl        = []
    }
    subscriptiondiffs = {
      hash_key   = "id"
      range_key  = "subid_seqnr"
      attributes = ["id", "subid_seqnr"]
      indexes    = {}
      ttl        = []
    }
    subscriptions = {
      hash_key   = "id"
      range_key  = "peer_sub_id"
      attributes = ["id", "peer_sub_id"]
      indexes    = {}
      ttl        = []
    }
    trusts = {
      hash_key   = "id"
      range_key  = "peerid"
      attributes = ["id", "peerid", "secret"]
      indexes    = { secret-index = "secret" }
      ttl        = []
    }
  }
}

resource "aws_dynamodb_table" "actingweb" {
  for_each = local.tables

  name                        = "${var.prefix}_${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash_key
  range_key                   = each.value.range_key
  deletion_protection_enabled = true

  dynamic "attribute" {
    for_each = each.value.attributes
    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.indexes
    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value
      projection_type = "ALL"
    }
  }

  dynamic "ttl" {
    for_each = each.value.ttl
    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }

  lifecycle {
    prevent_destroy = true
    # `actingweb-db migrate prepare --enable-streams` switches them on for a live migration.
    ignore_changes = [stream_enabled, stream_view_type]
  }
}

output "table_names" {
  description = "The names of the tables."
  value       = [for table in aws_dynamodb_table.actingweb : table.name]
}
